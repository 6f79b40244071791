//! The tokenizer's files beside a model. They go from folder to folder as they are, unless the caller has made one; of a tagger one switch is set,
//! which reading words turns on (`tokenizer/words.rs` in `ferrotune-data`). It must not know weights, and nothing else of how a text becomes tokens.

use super::write::create_durably;
use crate::error::BertError;
use crate::json::read_capped;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

/// What says how texts become tokens.
const TOKENIZER: &str = "tokenizer.json";
/// What Hugging Face's classes are told besides.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Whether a text is read as if a blank stood before it.
const PREFIX_SPACE: &str = "add_prefix_space";

/// The tokenizer's files, which are copied from the folder that a model came from. Those that are not there are left out.
pub const COMPANION_FILES: [&str; 9] = [
    TOKENIZER,
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "sentencepiece.bpe.model",
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
];
/// Largest companion file, in bytes.
const COMPANION_CAP: u64 = 64 << 20;

/// A file that a saved folder gets in place of the one it would be copied from: its name and its content.
pub type MadeFile = (&'static str, Vec<u8>);

/// Where a saved folder gets these files.
#[derive(Clone, Copy, Debug)]
pub struct Companions<'a> {
    /// The folder to copy [`COMPANION_FILES`] from. It may be the folder that is replaced.
    pub from: &'a Path,
    /// What to write in place of those files, where that folder has them in another form.
    pub made: &'a [MadeFile],
}

impl<'a> Companions<'a> {
    /// Those of a folder, as they are.
    pub fn of(from: &'a Path) -> Self {
        Companions { from, made: &[] }
    }
}

/// Copies them, byte for byte, but for those that were made. Where a model scores words and the tokenizer is byte-level, both files that say so get
/// `add_prefix_space`: such a tokenizer writes the blank before a word into its first token, words that come one by one have none, and Hugging Face's
/// tokenizers would read other tokens than the model learned from.
///
/// # Errors
/// I/O; a file that is too large.
pub(super) fn copy_companions(companions: Companions<'_>, to: &Path, scores_words: bool) -> Result<(), BertError> {
    let Companions { from, made } = companions;
    let mut files = made.to_vec();
    for name in COMPANION_FILES {
        if made.iter().all(|made| made.0 != name) {
            files.extend(read(&from.join(name))?.map(|bytes| (name, bytes)));
        }
    }
    if scores_words {
        read_words_with_blanks(&mut files);
    }
    for (name, bytes) in files {
        create_durably(&to.join(name), |file| file.write_all(&bytes))?;
    }
    Ok(())
}

/// Says `add_prefix_space` in the files of a byte-level tokenizer. A file that is no JSON stays as it is.
fn read_words_with_blanks(files: &mut Vec<(&str, Vec<u8>)>) {
    let parsed = |files: &[(&str, Vec<u8>)], name: &str| {
        let place = files.iter().position(|(found, _)| *found == name)?;
        Some((place, serde_json::from_slice::<Value>(&files[place].1).ok()?))
    };
    let insert = |says: &mut Value| {
        says.as_object_mut().is_some_and(|says| says.insert(PREFIX_SPACE.into(), true.into()) != Some(true.into()))
    };
    let text = |document: &Value| serde_json::to_vec_pretty(document).expect("a JSON document can be written");
    let Some((place, mut tokenizer)) = parsed(files, TOKENIZER) else { return };
    let Some(pre) = tokenizer.get_mut("pre_tokenizer").filter(|pre| pre["type"] == "ByteLevel") else { return };
    if insert(pre) {
        files[place].1 = text(&tokenizer);
    }
    if let Some((place, mut config)) = parsed(files, TOKENIZER_CONFIG) {
        if insert(&mut config) {
            files[place].1 = text(&config);
        }
    } else if files.iter().all(|(name, _)| *name != TOKENIZER_CONFIG) {
        // Without the file the classes of some families take their own default, which is false.
        files.push((TOKENIZER_CONFIG, text(&json!({ PREFIX_SPACE: true }))));
    }
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
