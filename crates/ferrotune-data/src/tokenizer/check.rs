//! Checks on a loaded tokenizer that the `tokenizers` crate leaves to the first unlucky text.
//! It knows nothing of files, rows or lengths.

use crate::names::quoted;
use tokenizers::{ModelWrapper, Tokenizer};

/// WordPiece is quadratic in the length of a word; the usual limit of a word is 100 characters.
const MAX_WORD_CHARS: usize = 1000;

/// The largest token id plus one, or what is wrong with the tokenizer. May panic on a hostile file.
pub(crate) fn check(tokenizer: &Tokenizer) -> Result<usize, String> {
    let Some(max_id) = tokenizer.get_vocab(true).into_values().max() else {
        return Err("its vocabulary is empty".to_owned());
    };
    if let ModelWrapper::WordPiece(model) = tokenizer.get_model() {
        if model.max_input_chars_per_word > MAX_WORD_CHARS {
            let chars = model.max_input_chars_per_word;
            return Err(format!("max_input_chars_per_word is {chars}, more than {MAX_WORD_CHARS}"));
        }
        if tokenizer.token_to_id(&model.unk_token).is_none() {
            return Err(format!("its unknown token {} is not in its vocabulary", quoted(&model.unk_token)));
        }
    }
    // The probes go through the whole pipeline, so a template without its special tokens shows here and not in a run.
    let probes = [tokenizer.encode_fast("a", true), tokenizer.encode_fast(("a", "b"), true)];
    for probe in probes {
        let encoding = probe.map_err(|error| error.to_string())?;
        for (&id, token) in encoding.get_ids().iter().zip(encoding.get_tokens()) {
            if tokenizer.id_to_token(id).is_none() {
                return Err(format!("its template adds {} with id {id}, which the vocabulary lacks", quoted(token)));
            }
        }
        if let Some(segment) = encoding.get_type_ids().iter().find(|&&segment| segment > 1) {
            return Err(format!("its template uses segment {segment}; BERT has segments 0 and 1"));
        }
    }
    Ok(max_id as usize + 1)
}
