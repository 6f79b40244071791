//! [`Tokenizer`]: the `tokenizers` crate behind a fence, under our own truncation and without padding.
//! It knows nothing of files but `tokenizer.json`, what contradicts it and what it is made of where it is missing, and nothing of labels.
//!
//! The crate can panic on a hostile `tokenizer.json`, while loading and while encoding, so both run under
//! `catch_unwind` and a panic becomes a [`DataError`]. (The process's panic hook still reports it.)

pub(crate) mod check;
mod config;
pub(crate) mod long_texts;
pub(crate) mod masking;
pub(crate) mod sentence_piece;
mod texts;
mod vocabulary;
pub(crate) mod windows;
mod words;

use crate::{DataError, Encoded, LongTexts, Row, Words};
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokenizers::PostProcessor;

/// `tokenizer.json` may have at most this many bytes: 64 MiB. Those of multilingual models have about 17.
pub const MAX_TOKENIZER_BYTES: u64 = 64 << 20;

/// The file that a tokenizer is read from.
const TOKENIZER: &str = "tokenizer.json";

/// Rows that one rayon task encodes at least: enough to outweigh the task itself.
const ROWS_PER_TASK: usize = 16;

/// Turns text into token ids.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    for_words: OnceLock<tokenizers::Tokenizer>,
    file: String,
    max_length: usize,
    long_texts: LongTexts,
    without_lengths: bool,
    vocab_size: usize,
}

/// What became of one row.
struct EncodedRow {
    /// One of a text, or one for each window. Of words one for each window, and none without a word that has tokens.
    sequences: Vec<Sequence>,
    /// Its length before cutting.
    untruncated: usize,
    /// Words without a token.
    silent_words: usize,
}

/// What the model reads together.
struct Sequence {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    /// The tokens that are scored, and the words that they stand for.
    scored: Vec<(u32, u32)>,
}

impl Tokenizer {
    /// Loads `tokenizer.json` of a model folder, or, where there is none, what it would be by the folder's SentencePiece model. Its own padding and
    /// truncation settings are dropped: rows get no padding, and are cut to the first `max_length` tokens with the special tokens counted.
    ///
    /// # Errors
    /// The file is missing, over 64 MiB, malformed or hostile, or a model of a kind that is not read; or `max_length` leaves no room for text.
    pub fn from_folder(dir: &Path, max_length: usize) -> Result<Tokenizer, DataError> {
        let (file, bytes) = match sentence_piece::convert(dir)? {
            Some(made) => (made.file, made.json),
            None => {
                let path = dir.join(TOKENIZER);
                let file = path.display().to_string();
                let bytes = read_capped(dir, &path, &file)?;
                (file, bytes)
            }
        };
        let malformed = |detail: String| DataError::TokenizerMalformed { file: file.clone(), detail };
        let loaded = guarded(&file, "loading it", || tokenizers::Tokenizer::from_bytes(&bytes))?;
        let mut inner = loaded.map_err(|error| malformed(one_line(&*error)))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| malformed(one_line(&*error)))?;
        let vocab_size = guarded(&file, "checking it", || check::check(&inner))?.map_err(malformed)?;
        let long_texts = LongTexts::Head;
        let (for_words, without_lengths) = (OnceLock::new(), false);
        let tokenizer = Tokenizer { inner, for_words, file, max_length, long_texts, without_lengths, vocab_size };
        tokenizer.text_room(false)?;
        Ok(tokenizer)
    }

    /// With another treatment of texts that are too long.
    pub fn with_long_texts(self, long_texts: LongTexts) -> Tokenizer {
        Tokenizer { long_texts, ..self }
    }

    /// With no promise of how long texts were before cutting: of a very long one of which only the first tokens are kept, no more is looked at than
    /// these need. What is kept is the same.
    pub fn without_lengths(self) -> Tokenizer {
        Tokenizer { without_lengths: true, ..self }
    }

    /// The largest token id plus one: an embedding table with fewer rows does not fit this tokenizer.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The length, special tokens included, to which rows are cut.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Encodes all rows in parallel on the current rayon pool; the result does not depend on the number of threads.
    ///
    /// A text that is too long is cut as [`LongTexts`] says, at its end where nothing else was asked for; of a pair the longer text is cut
    /// first ("longest first").
    /// A special token written out in a text, like `[SEP]`, becomes that token, as with Hugging Face's tokenizers.
    ///
    /// Rows of words are cut into windows instead that overlap by at least a third, so that no word is lost; [`Encoded::words`] says which
    /// token stands for which word. All rows must be texts, or all words.
    ///
    /// # Errors
    /// The first row, in order, on which the tokenizer fails, a text which has no token at all, or a pair where windows are asked for.
    pub fn encode(&self, rows: &[Row]) -> Result<Encoded, DataError> {
        if self.long_texts == LongTexts::Windows
            && let Some(pair) = rows.iter().find(|row| row.text_b.is_some())
        {
            return Err(DataError::PairInWindows { line: pair.line });
        }
        self.encode_all(rows, |row, room| self.encode_words_or_texts(row, room))
    }

    /// Encodes single texts for learning from the text itself: nothing is cut off. A text that is too long becomes several sequences, one after
    /// the other, each with the special tokens around it; a text without tokens becomes none. [`Encoded::truncated`] has the texts that
    /// became several.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_in_pieces(&self, rows: &[Row]) -> Result<Encoded, DataError> {
        self.encode_all(rows, |row, room| self.encode_pieces(&row.text, room))
    }

    fn encode_all(
        &self,
        rows: &[Row],
        how: impl Fn(&Row, usize) -> tokenizers::Result<EncodedRow> + Sync,
    ) -> Result<Encoded, DataError> {
        // Collected with the errors inside: a parallel collect into a Result may keep any of several errors.
        let encoded_rows: Vec<_> =
            rows.par_iter().with_min_len(ROWS_PER_TASK).map(|row| self.encode_guarded(row, &how)).collect();
        let mut encoded = Encoded {
            ids: Vec::new(),
            type_ids: Vec::new(),
            offsets: Vec::with_capacity(rows.len() + 1),
            truncated: Vec::new(),
            longest_untruncated: 0,
            windows: Vec::new(),
            words: None,
        };
        encoded.offsets.push(0);
        let mut words = Words { table_rows: rows.len(), offsets: vec![0], ..Words::default() };
        for (n, row) in encoded_rows.into_iter().enumerate() {
            let EncodedRow { sequences, untruncated, silent_words } = row?;
            if untruncated > self.max_length {
                encoded.truncated.push(n);
            }
            encoded.longest_untruncated = encoded.longest_untruncated.max(untruncated);
            words.silent_words += silent_words;
            if silent_words > 0 && words.first_silent_line.is_none() {
                words.first_silent_line = Some(rows[n].line);
            }
            for sequence in sequences {
                encoded.ids.extend_from_slice(&sequence.ids);
                encoded.type_ids.extend_from_slice(&sequence.type_ids);
                let limit = u64::from(u32::MAX);
                let end = u32::try_from(encoded.ids.len()).map_err(|_| DataError::TooManyTokens { limit })?;
                encoded.offsets.push(end);
                let (places, of) = sequence.scored.into_iter().unzip::<_, _, Vec<u32>, Vec<u32>>();
                words.rows.push(n);
                words.places.extend(places);
                words.words.extend(of);
                words.offsets.push(words.places.len() as u32);
            }
        }
        if rows.first().is_some_and(|row| row.words.is_some()) {
            words.windowed_rows = std::mem::take(&mut encoded.truncated).len();
            encoded.words = Some(Arc::new(words));
        } else if self.long_texts == LongTexts::Windows {
            // Nothing was cut off.
            let windowed = !std::mem::take(&mut encoded.truncated).is_empty();
            encoded.windows = if windowed { words.rows } else { Vec::new() };
        }
        Ok(encoded)
    }

    /// Encodes one row.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_row(&self, row: &Row) -> Result<Encoded, DataError> {
        self.encode(std::slice::from_ref(row))
    }

    /// The tokens of a row before anything is cut, special ones included.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn length(&self, row: &Row) -> Result<usize, DataError> {
        let encoded = self.encode_guarded(row, |row, room| self.encode_words_or_texts(row, room))?;
        Ok(encoded.untruncated)
    }

    fn encode_words_or_texts(&self, row: &Row, room: usize) -> tokenizers::Result<EncodedRow> {
        match &row.words {
            Some(words) => self.encode_words(words, room),
            None => self.encode_texts(&row.text, row.text_b.as_deref(), room),
        }
    }

    fn encode_guarded(
        &self,
        row: &Row,
        how: impl Fn(&Row, usize) -> tokenizers::Result<EncodedRow>,
    ) -> Result<EncodedRow, DataError> {
        let room = self.text_room(row.text_b.is_some())?;
        let failed = |detail: String| DataError::TokenizerFailed { line: row.line, detail };
        let doing = format!("encoding the row of line {}", row.line);
        let encoded = guarded(&self.file, &doing, || how(row, room))?.map_err(|error| failed(one_line(&*error)))?;
        for sequence in &encoded.sequences {
            if sequence.ids.is_empty() {
                return Err(DataError::EmptySequence { line: row.line });
            }
            // Only a template that repeats a text can do this; it would overrun the model's position table.
            if sequence.ids.len() > self.max_length {
                return Err(failed(format!("its template gives {} tokens for {room} of text", sequence.ids.len())));
            }
        }
        Ok(encoded)
    }

    fn special_tokens(&self, pair: bool) -> usize {
        self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(pair))
    }

    /// How many tokens of text fit: at least one for each text.
    fn text_room(&self, pair: bool) -> Result<usize, DataError> {
        let special = self.special_tokens(pair);
        let needed = special.saturating_add(1 + usize::from(pair));
        if self.max_length < needed {
            return Err(DataError::MaxLength { max_length: self.max_length, special, needed });
        }
        Ok(self.max_length - special)
    }
}

fn read_capped(dir: &Path, path: &Path, file: &str) -> Result<Vec<u8>, DataError> {
    let limit = MAX_TOKENIZER_BYTES;
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DataError::TokenizerMissing { folder: dir.display().to_string() },
        _ => DataError::Io { file: file.to_owned(), source },
    };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        let detail = "it is not a regular file".to_owned();
        return Err(DataError::TokenizerMalformed { file: file.to_owned(), detail });
    }
    if metadata.len() > limit {
        return Err(DataError::TokenizerTooLarge { file: file.to_owned(), bytes: metadata.len(), limit });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The size may have grown since it was asked for.
    File::open(path).map_err(io)?.take(limit).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Runs `work`; a panic in it becomes an error. Nothing that `work` leaves half done is used afterwards.
fn guarded<T>(file: &str, doing: &str, work: impl FnOnce() -> T) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| DataError::TokenizerPanicked { file: file.to_owned(), doing: doing.to_owned() })
}

/// The message of a library's error, on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
