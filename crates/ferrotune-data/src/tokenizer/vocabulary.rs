//! What masking asks of a vocabulary: the mask token, which tokens are ordinary, which continue a word. It knows nothing of texts.

use super::Tokenizer;
use crate::{DataError, Masking};
use tokenizers::ModelWrapper;

/// What the mask token is called in the families of BERT and of RoBERTa.
const MASK_TOKENS: [&str; 2] = ["[MASK]", "<mask>"];
/// How byte-level vocabularies write a blank, a line end and a tab before a word, and SentencePiece a blank.
const BYTE_LEVEL_STARTS: [char; 3] = ['Ġ', 'Ċ', 'ĉ'];
const SENTENCE_PIECE_START: char = '▁';

impl Tokenizer {
    /// The masking of this vocabulary; with `whole_words` words are masked as wholes.
    ///
    /// # Errors
    /// It has no mask token; or words are asked for and nothing tells where they begin.
    pub fn masking(&self, whole_words: bool) -> Result<Masking, DataError> {
        let file = || self.file.clone();
        let added = self.inner.get_added_tokens_decoder();
        let is_special = |id: u32| added.get(&id).is_some_and(|token| token.special);
        let mask = MASK_TOKENS.iter().find_map(|name| self.inner.token_to_id(name).filter(|&id| is_special(id)));
        let mask = mask.ok_or_else(|| DataError::NoMaskToken { file: file() })?;
        let tokens: Vec<Option<String>> = (0..self.vocab_size as u32).map(|id| self.inner.id_to_token(id)).collect();
        let is_ordinary = (0u32..).zip(&tokens).map(|(id, token)| token.is_some() && !is_special(id)).collect();
        let continues = match whole_words {
            true => Some(self.continues(&tokens).ok_or_else(|| DataError::UnknownWordStarts { file: file() })?),
            false => None,
        };
        Ok(Masking::new(mask, is_ordinary, continues))
    }

    /// Of each token whether it goes on with the word before it.
    fn continues(&self, tokens: &[Option<String>]) -> Option<Vec<bool>> {
        let all =
            |continues: &dyn Fn(&str) -> bool| tokens.iter().map(|t| t.as_deref().is_some_and(continues)).collect();
        if let ModelWrapper::WordPiece(model) = self.inner.get_model() {
            let prefix = model.continuing_subword_prefix.as_str();
            return (!prefix.is_empty()).then(|| all(&|token| token.starts_with(prefix)));
        }
        // Written at the start of words, and nowhere else.
        let count = |mark: char| tokens.iter().flatten().filter(|token| token.starts_with(mark)).count();
        // Either may be a letter of the other kind of vocabulary, and then begins few tokens.
        match (count(BYTE_LEVEL_STARTS[0]), count(SENTENCE_PIECE_START)) {
            (0, 0) => None,
            (bytes, pieces) if bytes >= pieces => Some(all(&|token| !token.starts_with(BYTE_LEVEL_STARTS))),
            _ => Some(all(&|token| !token.starts_with(SENTENCE_PIECE_START))),
        }
    }
}
