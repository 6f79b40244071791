//! `manifest.json` of a run folder: everything that a run was made of, so that it can be made again. It must not know how one trains.

use crate::args::DeviceName;
use crate::exit::{Failure, MODEL, io};
use crate::run::folder::{BEST, MANIFEST, RunFolder};
use crate::run::sums::{FileSum, PartSums, Sums};
use crate::settings::Resolved;
use ferrotune_data::Part;
use ferrotune_train::store::fingerprint::sha256_file;
use ferrotune_train::store::replace_file;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The layout of the file.
const FORMAT: u64 = 1;
/// The weights, inside the folder of the model.
const WEIGHTS: &str = "model.safetensors";

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The layout of the file, 1.
    pub format: u64,
    /// Version of the program.
    pub ferrotune: String,
    /// The commit that it was built from, where whoever built it set `FERROTUNE_COMMIT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Instruction set, or kind of GPU: what last bits depend on.
    pub processor: String,
    /// The device as it was asked for.
    pub device: String,
    /// Threads. They change no bit.
    pub threads: usize,
    /// The seed of the attempt whose weights these are; that of the settings is where the first began.
    pub seed: u64,
    /// How often the run was begun again.
    pub restarts: u64,
    /// Whether the last part of the run went on from a checkpoint.
    pub resumed: bool,
    /// All settings as resolved, defaults and recipe included: the keys of `ferrotune.toml`.
    pub settings: toml::Table,
    /// The rows.
    pub data: Vec<PartSums>,
    /// The base model.
    pub model: ModelSums,
    /// What came of it: `best/model.safetensors`.
    pub weights: FileSum,
}

/// The base model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSums {
    /// Folder or hub id, as it was said.
    pub name: String,
    /// Configuration, tokenizer and weights.
    pub files: Vec<FileSum>,
}

/// The commit that this program was built from, if it was said.
pub fn commit() -> Option<String> {
    option_env!("FERROTUNE_COMMIT").filter(|commit| !commit.is_empty()).map(str::to_string)
}

/// Writes the manifest of a run that is done; its model is saved.
///
/// # Errors
/// The weights cannot be read, or the file not be written.
pub fn write(
    resolved: &Resolved,
    sums: &Sums,
    processor: &str,
    folder: &RunFolder,
    resumed: bool,
) -> Result<(), Failure> {
    let manifest = Manifest {
        format: FORMAT,
        ferrotune: env!("CARGO_PKG_VERSION").to_string(),
        commit: commit(),
        processor: processor.to_string(),
        device: device(resolved.device),
        threads: rayon::current_num_threads(),
        seed: resolved.numbers.seed,
        restarts: folder.restarts(),
        resumed,
        settings: toml::Table::try_from(&resolved.settings).expect("settings are a table"),
        data: sums.data.clone(),
        model: ModelSums { name: resolved.model.clone(), files: sums.model.clone() },
        weights: weights(folder.path())?,
    };
    let text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain values");
    Ok(replace_file(&folder.path().join(MANIFEST), format!("{text}\n").as_bytes())?)
}

/// The sum of the weights that a run came to.
///
/// # Errors
/// They cannot be read.
pub fn weights(run: &Path) -> Result<FileSum, Failure> {
    FileSum::of(&run.join(BEST).join(WEIGHTS), format!("{BEST}/{WEIGHTS}"))
}

/// Whether the run whose model lies in this folder learned from one of these files, by their bytes. No where that cannot be known.
pub fn learned_from(model: &Path, files: &[PathBuf]) -> bool {
    let run = std::fs::canonicalize(model).ok().and_then(|model| model.parent().map(Path::to_path_buf));
    let Some(manifest) = run.and_then(|run| Manifest::read(&run.join(MANIFEST)).ok()) else { return false };
    let parts = manifest.data.iter().filter(|part| part.part == Part::Train.name());
    let known: Vec<&str> = parts.flat_map(|part| &part.files).map(|file| &file.sha256[..]).collect();
    files.iter().any(|file| sha256_file(file).is_ok_and(|sum| known.contains(&&sum[..])))
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// The file cannot be read, is none, or has a layout that this program does not know.
    pub fn read(path: &Path) -> Result<Manifest, Failure> {
        let text = std::fs::read_to_string(path).map_err(io(path.display()))?;
        let damaged = |what: String| Failure { message: format!("{}: {what}", path.display()), code: MODEL };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| damaged(format!("is no manifest of a run: {error}")))?;
        match value["format"].as_u64() {
            Some(FORMAT) => {}
            Some(other) => {
                let what =
                    format!("is a manifest of format {other}; this program reads {FORMAT}: use a newer ferrotune");
                return Err(damaged(what));
            }
            None => return Err(damaged("is no manifest of a run: it has no `format`".to_string())),
        }
        serde_json::from_value(value).map_err(|error| damaged(format!("is a damaged manifest: {error}")))
    }
}

#[cfg(feature = "cuda")]
fn device(name: DeviceName) -> String {
    name.to_string()
}

#[cfg(not(feature = "cuda"))]
fn device(name: DeviceName) -> String {
    match name {
        DeviceName::Cpu => "cpu".to_string(),
    }
}
