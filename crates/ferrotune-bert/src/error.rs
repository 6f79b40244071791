//! What can go wrong with a model folder, one variant per kind of fault, each message a single line that says what was
//! wrong, where, and what to do. It must not know exit codes: the command line maps kinds to codes.

use std::io;
use std::path::{Path, PathBuf};

/// Everything that reading or writing a model folder can fail with.
///
/// `Display` is complete and is one line. There is no `source()`: the cause is part of the message, so that a printer
/// that walks the chain does not say it twice.
#[derive(Debug, thiserror::Error)]
pub enum BertError {
    /// The operating system refused: the file is missing, unreadable, the disk is full, memory ran out.
    #[error("cannot {action} {}: {cause}", shown(path))]
    Io {
        /// What was being done, as a verb: "open", "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        cause: io::Error,
    },
    /// config.json is malformed, out of range, or describes a model that is not built here.
    #[error("{}: {problem}", shown(path))]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The folder as a whole is not one that can be loaded or written: no weights, a wrong shard index, not a folder.
    #[error("model folder {}: {problem}", shown(folder))]
    Folder {
        /// The model folder.
        folder: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A weights file is not well-formed, or holds more than tensors.
    #[error("{}: {problem}", shown(file))]
    Format {
        /// The weights file.
        file: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// Weights hold NaN or infinities, in a file that was read or in a model that was about to be saved.
    #[error(
        "{}: tensor {tensor} has {count} non-finite values (NaN or infinity) out of {elements}, the first at index \
         {first}; the weights come from a run that diverged: use an earlier checkpoint",
        shown(file)
    )]
    NonFinite {
        /// The weights file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// How many of its values are not finite.
        count: usize,
        /// How many values it has.
        elements: usize,
        /// Flat index of the first bad one.
        first: usize,
    },
    /// The tensors in the folder are not those that the model needs.
    #[error("model folder {}: {problem}", shown(folder))]
    Mismatch {
        /// The model folder.
        folder: PathBuf,
        /// The first few missing, mis-shaped and unexpected tensors.
        problem: String,
    },
    /// What was written does not read back as what was meant. The folder was not put in place.
    #[error("{}: {problem}; the disk or memory may be faulty, nothing was replaced", shown(file))]
    Unfaithful {
        /// The file that reads back differently.
        file: PathBuf,
        /// Which tensor, which element.
        problem: String,
    },
}

impl BertError {
    /// True when the system is at fault (disk, permissions, memory) and not the contents of the folder.
    pub fn is_io(&self) -> bool {
        matches!(self, BertError::Io { .. } | BertError::Unfaithful { .. })
    }

    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> BertError {
        BertError::Io { action, path: path.to_path_buf(), cause }
    }
}

fn shown(path: &Path) -> String {
    one_line(&path.display().to_string(), 4096)
}

/// Text from outside, made fit for a one-line message: control characters escaped, cut after `limit` characters.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == limit {
            line.push_str("...");
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// A name from outside in quotes, fit for a one-line message.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", one_line(name, 120))
}
