//! The folder of a run: lock, settings as resolved, log, checkpoints, results. It must not know what is trained.

use crate::evaluation::{self, Evaluation};
use crate::exit::{Failure, io, usage};
use ferrotune_bert::checkpoint::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, clear_interrupted_saves};
use ferrotune_train::lock::RunLock;
use ferrotune_train::metrics_log::MetricsLog;
use ferrotune_train::store::{CHECKPOINTS, Store, replace_file};
use ferrotune_train::tensorboard::EventFile;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Folder of the model, inside the folder of the run.
pub const BEST: &str = "best";

/// Folder of the adapters, inside the folder of the run.
pub const ADAPTER: &str = "adapter";

/// What a run came to, inside its folder.
pub const RESULTS: &str = "results.json";

/// What a run was made of, inside its folder.
pub const MANIFEST: &str = "manifest.json";

/// The settings as resolved, inside the folder of the run.
pub const SETTINGS: &str = "ferrotune.toml";

/// The page that shows a run, inside its folder.
pub const REPORT: &str = "report.html";

/// The log, inside the folder of the run.
pub const LOG: &str = "metrics.jsonl";

/// Folder of event files, inside the folder of the run.
const TENSORBOARD: &str = "tensorboard";

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
        std::fs::create_dir_all(path).map_err(io(format!("cannot make {}", path.display())))?;
        let lock = RunLock::acquire(path)?;
        // What a run that was killed while it saved its model left behind; under the lock nobody else saves here.
        clear_interrupted_saves(&path.join(BEST))?;
        if overwrite {
            for name in [RESULTS, MANIFEST, LOG, evaluation::FILE, REPORT] {
                remove(&path.join(name), |path| std::fs::remove_file(path))?;
            }
            for n in 0..=RESTARTS {
                remove(&path.join(checkpoints(n)), |path| std::fs::remove_dir_all(path))?;
                remove(&path.join(log_of(n)), |path| std::fs::remove_file(path))?;
            }
            EventFile::clear(&path.join(TENSORBOARD))?;
            clear_adapter(path)?;
        }
        let restarts = restarts.filter(|_| resume).unwrap_or(0);
        let store = Store::open_in(&lock, &checkpoints(restarts), KEEP)?;
        let folder = RunFolder { path: path.to_path_buf(), store, resume, restarts, lock };
        folder.tidy_after_restart()?;
        Ok(folder)
    }

    /// Whether the folder can be opened so: [`RunFolder::open`] says what is an error. Gives how often the run there was begun again.
    pub fn check(path: &Path, resume: bool, overwrite: bool) -> Result<Option<u64>, Failure> {
        let shown = path.display();
        let restarts = restarts_of(path);
        if resume && restarts.is_none() {
            return Err(usage(format!("--resume: {shown} holds no run; start it without --resume")));
        }
        let used = restarts.is_some() || [RESULTS, LOG].iter().any(|name| path.join(name).exists());
        if used && !resume && !overwrite {
            return Err(usage(format!(
                "{shown} holds an earlier run: say --resume to go on with it, --overwrite to replace it, or name another --output"
            )));
        }
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
        remove(&self.path.join(checkpoints(before)), |path| std::fs::remove_dir_all(path))
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
        Ok(Some(self.store.latest_intact()?.0.map_or(0, |checkpoint| checkpoint.step())))
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
    (0..=RESTARTS).try_for_each(|n| remove(&path.join(checkpoints(n)), |path| std::fs::remove_dir_all(path)))
}

/// The folder of checkpoints after so many restarts.
fn checkpoints(restarts: u64) -> String {
    if restarts == 0 { CHECKPOINTS.to_string() } else { format!("{CHECKPOINTS}-restart-{restarts}") }
}

/// What the log of a run is called that was left, after so many restarts.
fn log_of(restarts: u64) -> String {
    format!("metrics-left-{restarts}.jsonl")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A run folder in which there are these files, and folders where a name ends in a slash.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => std::fs::create_dir(folder.path().join(name)).unwrap(),
                None => std::fs::write(folder.path().join(name), name).unwrap(),
            }
        }
        folder
    }

    #[track_caller]
    fn check(before: &[&str], resume: bool, overwrite: bool, expected: Result<(u64, &[&str]), &str>) {
        let folder = folder(before);
        let opened = RunFolder::open(folder.path(), resume, overwrite);
        let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names.retain(|name| name != "run.lock");
        match (opened, expected) {
            (Ok(opened), Ok((restarts, left))) => {
                assert_eq!((opened.restarts(), names), (restarts, left.iter().map(|name| name.to_string()).collect()));
                assert_eq!(opened.store.directory(), folder.path().join(checkpoints(restarts)));
            }
            (Err(failure), Err(says)) => assert!(failure.message.contains(says), "{}", failure.message),
            (opened, _) => panic!("{before:?}: {:?}", opened.map(|opened| opened.restarts()).map_err(|e| e.message)),
        }
    }

    #[test]
    fn a_folder_says_how_often_its_run_began_again() {
        check(&[], false, false, Ok((0, &["checkpoints"])));
        check(&[], true, false, Err("holds no run"));
        for used in ["checkpoints/", "checkpoints-restart-2/", "metrics.jsonl"] {
            check(&[used], false, false, Err("holds an earlier run"));
        }
        check(&["checkpoints/", "metrics.jsonl"], true, false, Ok((0, &["checkpoints", "metrics.jsonl"])));
        // Killed right after the folder of the new attempt was made.
        check(
            &["checkpoints/", "checkpoints-restart-1/", "metrics.jsonl"],
            true,
            false,
            Ok((1, &["checkpoints-restart-1", "metrics-left-0.jsonl"])),
        );
        // Killed later: the log is that of the new attempt.
        check(
            &["checkpoints-restart-2/", "metrics-left-0.jsonl", "metrics-left-1.jsonl", "metrics.jsonl"],
            true,
            false,
            Ok((2, &["checkpoints-restart-2", "metrics-left-0.jsonl", "metrics-left-1.jsonl", "metrics.jsonl"])),
        );
        check(
            &["checkpoints-restart-2/", "metrics-left-0.jsonl", "metrics-left-1.jsonl", "metrics.jsonl"],
            false,
            true,
            Ok((0, &["checkpoints"])),
        );
    }

    #[test]
    fn a_restart_leaves_a_log_and_empty_checkpoints() {
        let folder = folder(&[]);
        let mut run = RunFolder::open(folder.path(), false, false).map_err(|e| e.message).unwrap();
        for restart in 1..=RESTARTS {
            std::fs::write(folder.path().join(LOG), restart.to_string()).unwrap();
            run.restart().map_err(|e| e.message).unwrap();
            assert_eq!(run.restarts(), restart);
            assert!(!has_checkpoints(folder.path()));
            let log = std::fs::read_to_string(folder.path().join(log_of(restart - 1))).unwrap();
            assert_eq!(log, restart.to_string());
            assert!(!folder.path().join(checkpoints(restart - 1)).exists());
        }
    }
}
