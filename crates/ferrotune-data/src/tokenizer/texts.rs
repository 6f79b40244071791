//! Encoding of texts and pairs, and what is kept of those that are too long. It knows nothing of words or labels.

use super::{EncodedRow, Sequence, Tokenizer};
use crate::LongTexts;
use crate::tokenizer::windows::Windows;
use tokenizers::{Encoding, Token, TruncationDirection, TruncationParams, TruncationStrategy};

/// Bytes of a very long text that are looked at first, and so many for each token that is kept: several times what languages need.
const BEGIN: usize = 1024;
const BEGIN_PER_TOKEN: usize = 32;
/// Words before a cut that may be others in the whole text: a special token that is cut in two becomes as many as it has characters.
const UNSURE: u32 = 64;

impl Tokenizer {
    /// Texts are encoded without special tokens first, so that the length before cutting is known. The lengths of what is kept of a pair are
    /// the crate's choice, so that ids of heads equal those of Hugging Face's fast tokenizers. Windows are of one text alone.
    pub(super) fn encode_texts(&self, text: &str, text_b: Option<&str>, room: usize) -> tokenizers::Result<EncodedRow> {
        let begin = if text_b.is_none() { self.encode_begin(text, room)? } else { None };
        let first = begin.map_or_else(|| self.inner.encode_fast(text, false), Ok)?;
        let second = text_b.map(|text| self.inner.encode_fast(text, false)).transpose()?;
        let second = second.map(|mut encoding| {
            encoding.set_type_ids(vec![1; encoding.len()]);
            encoding
        });
        let pieces = first.len() + second.as_ref().map_or(0, |encoding| encoding.len());
        let untruncated = pieces + self.special_tokens(second.is_some());
        let of = |sequences| Ok(EncodedRow { sequences, untruncated, silent_words: 0 });
        let too_long = pieces > room;
        if too_long && self.long_texts == LongTexts::Windows {
            let windows = Windows::of(pieces, room);
            let window = |n| Ok(self.with_special_tokens(&first.get_ids()[windows.range(n)])?.0);
            return of((0..windows.len()).map(window).collect::<tokenizers::Result<_>>()?);
        }
        let ids = |encoding: &Encoding| encoding.get_ids().to_vec();
        let whole =
            (too_long && self.long_texts == LongTexts::HeadTail).then(|| (ids(&first), second.as_ref().map(ids)));
        let params = TruncationParams {
            max_length: room,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
            direction: TruncationDirection::Right,
        };
        let (mut first, mut second) = tokenizers::truncate_encodings(first, second, &params)?;
        // What was cut off must go before the template is applied: the crate would pair every piece of the first text
        // with every piece of the second, and two long texts would fill the memory.
        first.take_overflowing();
        second.iter_mut().for_each(|encoding| drop(encoding.take_overflowing()));
        if let Some((whole, whole_b)) = whole {
            first = head_and_tail(&whole, first.len(), 0);
            second = second.zip(whole_b).map(|(cut, whole)| head_and_tail(&whole, cut.len(), 1));
        }
        let encoding = self.inner.post_process(first, second, true)?;
        let (ids, type_ids) = (encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec());
        of(vec![Sequence { ids, type_ids, scored: Vec::new() }])
    }

    /// The begin of a very long text, if nothing more is wanted of it than its first tokens, and these do not depend on what comes after: a tokenizer
    /// looks at a word and its neighbours, so the tokens of all words but the last ones are what they are in the whole text.
    fn encode_begin(&self, text: &str, room: usize) -> tokenizers::Result<Option<Encoding>> {
        let bytes = BEGIN + BEGIN_PER_TOKEN * self.max_length;
        if !self.without_lengths || self.long_texts != LongTexts::Head || text.len() < 2 * bytes {
            return Ok(None);
        }
        let encoding = self.inner.encode(&text[..text.floor_char_boundary(bytes)], false)?;
        let last = encoding.get_word_ids().last().copied().flatten().unwrap_or(0);
        let sure = encoding.get_word_ids().iter().take_while(|word| word.is_some_and(|word| word + UNSURE < last));
        Ok((sure.count() >= room).then_some(encoding))
    }

    /// Neighbouring pieces of one text, all of it.
    pub(super) fn encode_pieces(&self, text: &str, room: usize) -> tokenizers::Result<EncodedRow> {
        let encoding = self.inner.encode_fast(text, false)?;
        let pieces = encoding.get_ids().chunks(room).map(|piece| Ok(self.with_special_tokens(piece)?.0));
        let sequences = pieces.collect::<tokenizers::Result<_>>()?;
        Ok(EncodedRow { sequences, untruncated: encoding.len() + self.special_tokens(false), silent_words: 0 })
    }
}

/// So many tokens of a text: a quarter of them, rounded up, from its begin, the others from its end. Of 510 that is 128 and 382, the best of
/// Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?", section 5.3.1.
fn head_and_tail(ids: &[u32], keep: usize, type_id: u32) -> Encoding {
    let head = keep.div_ceil(4);
    let tail = &ids[ids.len() - (keep - head)..];
    let tokens = ids[..head].iter().chain(tail).map(|&id| Token::new(id, String::new(), (0, 0))).collect();
    Encoding::from_tokens(tokens, type_id)
}
