//! The folder of a run: lock, settings as resolved, log, checkpoints, results. It must not know what is trained.

use crate::exit::{Failure, io, usage};
use crate::results::evaluation::{self, Evaluation};
use ferrotune_bert::checkpoint::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, check_can_save, clear_interrupted_saves};
use ferrotune_train::events::metrics_log::MetricsLog;
use ferrotune_train::events::tensorboard::EventFile;
use ferrotune_train::store::lock::RunLock;
use ferrotune_train::store::{CHECKPOINTS, Store, replace_file};
use serde::Serialize;
use std::path::{Path, PathBuf};

mod kind;
pub mod study;
#[cfg(test)]
mod tests;

pub use kind::{Kind, rows_folder, seed_folder};

/// Folder of the model, inside the folder of the run.
pub const BEST: &str = "best";

/// Folder of the adapters, inside the folder of the run.
pub const ADAPTER: &str = "adapter";

/// What a run came to, inside its folder.
pub const RESULTS: &str = "results.json";

/// What a run was made of, inside its folder.
pub const MANIFEST: &str = "manifest.json";

/// What `--budget` chose, inside the folder of the run.
pub const BUDGET: &str = "budget.json";

/// The settings as resolved, inside the folder of the run.
pub const SETTINGS: &str = "ferrotune.toml";

/// The page that shows a run, inside its folder.
pub const REPORT: &str = "report.html";

/// The log, inside the folder of the run.
pub const LOG: &str = "metrics.jsonl";

/// Folder of event files, inside the folder of the run.
const TENSORBOARD: &str = "tensorboard";

/// Folder of what frozen layers give, where it is too large for memory, inside the folder of a run or of a search.
pub const PREFIX_CACHE: &str = "prefix-cache";

/// How many checkpoints are kept.
const KEEP: usize = 1;

/// How often a run may begin again.
pub const RESTARTS: u64 = 3;

/// An open, locked run folder.
pub struct RunFolder {
    path: PathBuf,
    /// Its checkpoints.
    pub store: Store,
    resume: bool,
    restarts: u64,
    lock: RunLock,
}

impl RunFolder {
    /// Opens or makes the folder and locks it.
    ///
    /// # Errors
    /// Results of an earlier run are there and neither `resume` nor `overwrite` is said; another process trains there; there is nothing to
    /// resume; the folder cannot be written.
    pub fn open(path: &Path, resume: bool, overwrite: bool) -> Result<RunFolder, Failure> {
        let restarts = RunFolder::check(path, resume, overwrite)?;
        let lock = lock(path)?;
        if overwrite {
            clear(path)?;
        }
        // What a run that was killed while it saved its model left behind; under the lock nobody else saves here.
        clear_interrupted_saves(&path.join(BEST))?;
        let restarts = restarts.filter(|_| resume).unwrap_or(0);
        let store = Store::open_in(&lock, &checkpoints(restarts), KEEP)?;
        let folder = RunFolder { path: path.to_path_buf(), store, resume, restarts, lock };
        folder.tidy_after_restart()?;
        Ok(folder)
    }

    /// Whether the folder can be opened so: [`RunFolder::open`] says what is an error. Gives how often the run there was begun again.
    pub fn check(path: &Path, resume: bool, overwrite: bool) -> Result<Option<u64>, Failure> {
        let restarts = restarts_of(path);
        if resume && restarts.is_none() {
            return Err(usage(format!("--resume: {} holds no run; start it without --resume", path.display())));
        }
        Kind::Run.check(path, resume, overwrite)?;
        let settings = path.join(SETTINGS);
        if !Kind::Run.is_in(path) && settings.exists() {
            return Err(usage(format!(
                "{} is there without a run that it belongs to, and a run writes its settings under this name: move the file away, or name another --output",
                settings.display()
            )));
        }
        // Known before training and before anything is removed.
        check_can_save(&path.join(BEST), true)?;
        Ok(restarts)
    }

    /// How often the run was begun again.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Begins again: with new checkpoints and a new log. The log so far gets another name.
    ///
    /// The one step that counts is that the new folder of checkpoints is there; a run that is killed after it does the rest when it is resumed.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.restarts += 1;
        self.store = Store::open_in(&self.lock, &checkpoints(self.restarts), KEEP)?;
        self.resume = false;
        self.tidy_after_restart()
    }

    fn tidy_after_restart(&self) -> Result<(), Failure> {
        let Some(before) = self.restarts.checked_sub(1) else { return Ok(()) };
        let (log, kept) = (self.path.join(LOG), self.path.join(log_of(before)));
        if log.exists() && !kept.exists() {
            std::fs::rename(&log, &kept).map_err(io(format!("cannot rename {}", log.display())))?;
        }
        remove_folder(&self.path.join(checkpoints(before)))
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
        Ok(replace_file(&self.path.join(SETTINGS), text.as_bytes())?)
    }

    /// The log: a new one, or after a resume the old one up to the checkpoint.
    pub fn metrics_log(&self) -> Result<MetricsLog, Failure> {
        let path = self.path.join(LOG);
        Ok(match self.resumed_step()? {
            None => MetricsLog::create(&path)?,
            Some(step) => MetricsLog::resume(&path, step)?,
        })
    }

    /// The event file for TensorBoard: a new run's, or after a resume one more.
    pub fn event_file(&self) -> Result<EventFile, Failure> {
        let folder = self.path.join(TENSORBOARD);
        Ok(match self.resumed_step()? {
            None => EventFile::create(&folder)?,
            Some(step) => EventFile::resume(&folder, step)?,
        })
    }

    /// The step that the run goes on after; none if it begins.
    fn resumed_step(&self) -> Result<Option<u64>, Failure> {
        if !self.resume || self.restarts > 0 && !has_checkpoints(&self.path) {
            return Ok(None);
        }
        let (checkpoint, set_aside) = self.store.latest_intact()?;
        set_aside.iter().for_each(|line| eprintln!("warning: {line}"));
        Ok(Some(checkpoint.map_or(0, |checkpoint| checkpoint.step())))
    }

    /// Writes `evaluation.json`.
    pub fn write_evaluation(&self, evaluation: &Evaluation) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(evaluation).expect("an evaluation is plain values");
        Ok(replace_file(&self.path.join(evaluation::FILE), format!("{text}\n").as_bytes())?)
    }

    /// Writes `results.json`.
    pub fn write_results(&self, results: &serde_json::Value) -> Result<(), Failure> {
        Ok(replace_file(&self.path.join(RESULTS), format!("{results:#}\n").as_bytes())?)
    }
}

/// How often the run in this folder was begun again; none where there is no run.
pub fn restarts_of(path: &Path) -> Option<u64> {
    (0..=RESTARTS).rev().find(|&n| path.join(checkpoints(n)).is_dir())
}

/// Whether the run in this folder has a checkpoint to go on from. One that just began again may have none yet.
pub fn has_checkpoints(path: &Path) -> bool {
    let newest = restarts_of(path).map(|n| path.join(checkpoints(n)));
    let entries = newest.and_then(|folder| std::fs::read_dir(folder).ok());
    let is_step = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("step-"))
    };
    entries.is_some_and(|mut entries| entries.any(is_step))
}

/// Removes all checkpoints of the run in this folder, if there is one: it cannot be gone on with.
pub fn clear_checkpoints(path: &Path) -> Result<(), Failure> {
    (0..=RESTARTS).try_for_each(|n| remove_folder(&path.join(checkpoints(n))))
}

/// The folder of checkpoints after so many restarts.
fn checkpoints(restarts: u64) -> String {
    if restarts == 0 { CHECKPOINTS.to_string() } else { format!("{CHECKPOINTS}-restart-{restarts}") }
}

/// What the log of a run is called that was left, after so many restarts.
fn log_of(restarts: u64) -> String {
    format!("metrics-left-{restarts}.jsonl")
}

/// Opens or makes the folder of a series or a search and locks it. What is to be replaced stays until [`clear`], for which it is early enough when
/// rows and model have been read.
///
/// # Errors
/// What [`Kind::check`] refuses; another process works there; the folder cannot be written.
pub fn claim(path: &Path, kind: Kind, resume: bool, overwrite: bool) -> Result<RunLock, Failure> {
    kind.check(path, resume, overwrite)?;
    lock(path)
}

/// Makes the folder if it is not there, and locks it.
fn lock(path: &Path) -> Result<RunLock, Failure> {
    std::fs::create_dir_all(path).map_err(io(format!("cannot make {}", path.display())))?;
    Ok(RunLock::acquire(path)?)
}

/// Removes what a run, a series or a search wrote here. A model stays until another takes its place, and the runs of a series have folders of their
/// own.
pub fn clear(path: &Path) -> Result<(), Failure> {
    if Kind::Study.is_in(path) {
        study::clear(path)?;
    }
    // Where no run is, a person wrote it.
    if Kind::Run.is_in(path) {
        remove_file(&path.join(SETTINGS))?;
    }
    for name in [RESULTS, MANIFEST, LOG, evaluation::FILE, REPORT, BUDGET] {
        remove_file(&path.join(name))?;
    }
    clear_checkpoints(path)?;
    (0..=RESTARTS).try_for_each(|n| remove_file(&path.join(log_of(n))))?;
    remove_folder(&path.join(PREFIX_CACHE))?;
    EventFile::clear(&path.join(TENSORBOARD))?;
    clear_adapter(path)
}

/// Removes the two files of an adapter folder, and the folder if it is empty then.
fn clear_adapter(path: &Path) -> Result<(), Failure> {
    let folder = path.join(ADAPTER);
    for name in [ADAPTER_CONFIG, ADAPTER_WEIGHTS] {
        remove_file(&folder.join(name))?;
    }
    removed(&folder, std::fs::remove_dir(&folder))
}

/// Removes a file, if it is there.
pub fn remove_file(path: &Path) -> Result<(), Failure> {
    removed(path, std::fs::remove_file(path))
}

/// Removes a folder with all that is in it, if it is there.
pub fn remove_folder(path: &Path) -> Result<(), Failure> {
    removed(path, std::fs::remove_dir_all(path))
}

fn removed(path: &Path, result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io(format!("cannot remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}
