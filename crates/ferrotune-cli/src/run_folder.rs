//! The folder of a run: lock, settings as resolved, log, checkpoints, results. It must not know what is trained.

use crate::exit::{Failure, io, usage};
use ferrotune_bert::checkpoint::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, clear_interrupted_saves};
use ferrotune_train::lock::RunLock;
use ferrotune_train::metrics_log::MetricsLog;
use ferrotune_train::store::{CHECKPOINTS, Store, replace_file};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Folder of the model, inside the folder of the run.
pub const BEST: &str = "best";

/// Folder of the adapters, inside the folder of the run.
pub const ADAPTER: &str = "adapter";

/// How many checkpoints are kept.
const KEEP: usize = 1;

/// An open, locked run folder.
pub struct RunFolder {
    path: PathBuf,
    /// Its checkpoints.
    pub store: Store,
    resume: bool,
    _lock: RunLock,
}

impl RunFolder {
    /// Opens or makes the folder and locks it.
    ///
    /// # Errors
    /// Results of an earlier run are there and neither `resume` nor `overwrite` is said; another process trains there; there is nothing to
    /// resume; the folder cannot be written.
    pub fn open(path: &Path, resume: bool, overwrite: bool) -> Result<RunFolder, Failure> {
        let shown = path.display();
        if resume && !path.join(CHECKPOINTS).is_dir() {
            return Err(usage(format!("--resume: {shown} holds no run; start it without --resume")));
        }
        let used = ["results.json", "metrics.jsonl", CHECKPOINTS].iter().any(|name| path.join(name).exists());
        if used && !resume && !overwrite {
            return Err(usage(format!(
                "{shown} holds an earlier run: say --resume to go on with it, --overwrite to replace it, or name another --output"
            )));
        }
        std::fs::create_dir_all(path).map_err(io(format!("cannot make {shown}")))?;
        let lock = RunLock::acquire(path)?;
        // What a run that was killed while it saved its model left behind; under the lock nobody else saves here.
        clear_interrupted_saves(&path.join(BEST))?;
        if overwrite {
            for name in ["results.json", "metrics.jsonl"] {
                remove(&path.join(name), |path| std::fs::remove_file(path))?;
            }
            remove(&path.join(CHECKPOINTS), |path| std::fs::remove_dir_all(path))?;
            clear_adapter(path)?;
        }
        let store = Store::open(&lock, KEEP)?;
        Ok(RunFolder { path: path.to_path_buf(), store, resume, _lock: lock })
    }

    /// Removes the adapters of an earlier run, so that new ones can be saved.
    pub fn clear_adapter(&self) -> Result<(), Failure> {
        clear_adapter(&self.path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `ferrotune.toml`: the run can be repeated with `--config` and this file.
    pub fn write_settings(&self, settings: &impl Serialize) -> Result<(), Failure> {
        let text = toml::to_string(settings).expect("settings are plain values");
        Ok(replace_file(&self.path.join("ferrotune.toml"), text.as_bytes())?)
    }

    /// The log: a new one, or after a resume the old one up to the checkpoint.
    pub fn metrics_log(&self) -> Result<MetricsLog, Failure> {
        let path = self.path.join("metrics.jsonl");
        if !self.resume {
            return Ok(MetricsLog::create(&path)?);
        }
        let step = self.store.latest_intact()?.0.map_or(0, |checkpoint| checkpoint.step());
        Ok(MetricsLog::resume(&path, step)?)
    }

    /// Writes `results.json`.
    pub fn write_results(&self, results: &serde_json::Value) -> Result<(), Failure> {
        Ok(replace_file(&self.path.join("results.json"), format!("{results:#}\n").as_bytes())?)
    }
}

/// Removes the two files of an adapter folder, and the folder if it is empty then.
fn clear_adapter(path: &Path) -> Result<(), Failure> {
    let folder = path.join(ADAPTER);
    for name in [ADAPTER_CONFIG, ADAPTER_WEIGHTS] {
        remove(&folder.join(name), |path| std::fs::remove_file(path))?;
    }
    remove(&folder, |path| std::fs::remove_dir(path))
}

fn remove(path: &Path, how: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), Failure> {
    match how(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io(format!("cannot remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}
