//! The tokenizer's files beside a model. They go from folder to folder as they are, with one exception. It must not know weights, nor how a text becomes
//! tokens.

use super::write::create_durably;
use crate::error::BertError;
use crate::json::read_capped;
use serde_json::Value;
use std::io::{self, Write};
use std::path::Path;

/// What says how texts become tokens.
const TOKENIZER: &str = "tokenizer.json";
/// What Hugging Face's classes are told besides.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Whether a text is read as if a blank stood before it.
const PREFIX_SPACE: &str = "add_prefix_space";

/// The tokenizer's files, which are copied from the folder that a model came from. Those that are not there are left out.
pub const COMPANION_FILES: [&str; 8] = [
    TOKENIZER,
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
];
/// Largest companion file, in bytes.
const COMPANION_CAP: u64 = 64 << 20;

/// Copies them, byte for byte. Where a model scores words and the tokenizer is byte-level, both files that say so get `add_prefix_space`: such a tokenizer
/// writes the blank before a word into its first token, words that come one by one have none, and Hugging Face's tokenizers would read other tokens than
/// the model learned from.
///
/// # Errors
/// I/O; a file that is too large, or no JSON where it should be changed.
pub(super) fn copy_companions(from: &Path, to: &Path, scores_words: bool) -> Result<(), BertError> {
    let mut is_byte_level = false;
    for name in COMPANION_FILES {
        let source = from.join(name);
        let Some(mut bytes) = read(&source)? else { continue };
        if scores_words && (name == TOKENIZER || name == TOKENIZER_CONFIG && is_byte_level) {
            let malformed = |error: serde_json::Error| BertError::Format {
                file: source.clone(),
                problem: format!("is not valid JSON: {error}"),
            };
            let mut document: Value = serde_json::from_slice(&bytes).map_err(malformed)?;
            let says = match name {
                TOKENIZER => document.get_mut("pre_tokenizer").filter(|pre| pre["type"] == "ByteLevel"),
                _ => Some(&mut document),
            };
            if let Some(Value::Object(says)) = says {
                is_byte_level = true;
                if says.insert(PREFIX_SPACE.to_string(), true.into()) != Some(true.into()) {
                    bytes = serde_json::to_vec_pretty(&document).expect("a JSON document can be written");
                }
            }
        }
        create_durably(&to.join(name), |file| file.write_all(&bytes))?;
    }
    Ok(())
}

/// The file's bytes, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, BertError> {
    match read_capped(path, COMPANION_CAP) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Err(BertError::Io { cause, .. })) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(Err(error)) => Err(error),
        Err(Ok(size)) => {
            let problem = format!("has {size} bytes, the limit is {COMPANION_CAP}; this is not a tokenizer file");
            Err(BertError::Format { file: path.to_path_buf(), problem })
        }
    }
}
