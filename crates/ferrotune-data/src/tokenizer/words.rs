//! Encoding of words: each by itself, as Hugging Face's tokenizers do with `is_split_into_words`, and long rows in windows. It knows nothing
//! of tags.

use super::{EncodedRow, Sequence, Tokenizer};
use crate::tokenizer::windows::Windows;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{Encoding, Token};

impl Tokenizer {
    /// The sequences of one row of words, of which `room` tokens fit into each. A window in which no word is scored is left out.
    pub(super) fn encode_words(&self, words: &[String], room: usize) -> tokenizers::Result<EncodedRow> {
        let tokenizer = self.word_tokenizer();
        let mut pieces: Vec<u32> = Vec::new();
        // Of each word that has pieces, the place of the first.
        let mut firsts: Vec<(usize, u32)> = Vec::with_capacity(words.len());
        for (word, text) in (0u32..).zip(words) {
            let encoding = tokenizer.encode_fast(text.as_str(), false)?;
            if !encoding.is_empty() {
                firsts.push((pieces.len(), word));
                pieces.extend_from_slice(encoding.get_ids());
            }
        }
        let windows = Windows::of(pieces.len(), room);
        let mut scored: Vec<Vec<(usize, u32)>> = vec![Vec::new(); windows.len()];
        for &(piece, word) in &firsts {
            let window = windows.of_most_context(piece);
            scored[window].push((piece - windows.range(window).start, word));
        }
        let mut sequences = Vec::new();
        for (window, scored) in scored.into_iter().enumerate().filter(|(_, scored)| !scored.is_empty()) {
            let (mut sequence, before) = self.with_special_tokens(&pieces[windows.range(window)])?;
            sequence.scored = scored.into_iter().map(|(place, word)| ((before + place) as u32, word)).collect();
            sequences.push(sequence);
        }
        let untruncated = pieces.len() + self.special_tokens(false);
        Ok(EncodedRow { sequences, untruncated, silent_words: words.len() - firsts.len() })
    }

    /// The template around pieces of one text, and how many tokens stand before them.
    pub(super) fn with_special_tokens(&self, pieces: &[u32]) -> tokenizers::Result<(Sequence, usize)> {
        let tokens = pieces.iter().map(|&id| Token::new(id, String::new(), (0, 0))).collect();
        let encoding = self.inner.post_process(Encoding::from_tokens(tokens, 0), None, true)?;
        let ids = encoding.get_ids().to_vec();
        let before = encoding.get_special_tokens_mask().iter().position(|&special| special == 0).unwrap_or(0);
        if ids.get(before..before + pieces.len()) != Some(pieces) {
            return Err("its template does not keep a text in one piece".into());
        }
        Ok((Sequence { ids, type_ids: encoding.get_type_ids().to_vec(), scored: Vec::new() }, before))
    }

    /// The tokenizer for single words: byte-level ones write the blank before a word into its first piece, so a word alone is read with one,
    /// as `add_prefix_space=True` says it in Python.
    fn word_tokenizer(&self) -> &tokenizers::Tokenizer {
        self.for_words.get_or_init(|| {
            let mut tokenizer = self.inner.clone();
            if let Some(PreTokenizerWrapper::ByteLevel(pre)) = self.inner.get_pre_tokenizer() {
                let mut pre = *pre;
                pre.add_prefix_space = true;
                tokenizer.with_pre_tokenizer(Some(pre));
            }
            tokenizer
        })
    }
}
