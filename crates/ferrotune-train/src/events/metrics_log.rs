//! `metrics.jsonl`: one JSON row a logged step or evaluation. A run that was killed and resumed leaves the same rows as one
//! that ran through, but for the key `seconds`. Trouble with the log is told once and never stops training.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::TrainError;
use crate::events::{Event, Observer};
use crate::store::replace_file;

#[cfg(test)]
mod tests;

/// An observer that appends rows to a file. Each row is one write, so a killed process loses none and tears at most the last.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    /// Length of the file up to its last whole row.
    whole_rows: u64,
    /// A failed write may have left part of a row behind `whole_rows`.
    torn: bool,
    complained: bool,
    complaint: Option<String>,
}

impl MetricsLog {
    /// Starts an empty log at `path`.
    pub fn create(path: &Path) -> Result<MetricsLog, TrainError> {
        replace_file(path, b"")?;
        MetricsLog::append_to(path, 0)
    }

    /// Goes on with the log at `path` after a resume from the checkpoint of `step` done steps: rows of that and earlier steps
    /// stay as they are, later rows and a torn last row go. The loop therefore logs and evaluates a step before it saves
    /// the checkpoint of that step. A missing log is started anew with a complaint.
    pub fn resume(path: &Path, step: u64) -> Result<MetricsLog, TrainError> {
        if path.is_symlink() {
            return Err(TrainError::Symlink { path: path.to_path_buf() });
        }
        let old = match std::fs::read(path) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(TrainError::io("read", path)(error)),
        };
        let missing = old.is_none();
        let (kept, unreadable) = rows_up_to(&old.unwrap_or_default(), step);
        replace_file(path, &kept)?;
        let mut log = MetricsLog::append_to(path, kept.len() as u64)?;
        if missing {
            log.complaint = Some(format!("{} is missing; the log starts at step {step}", path.display()));
        } else if unreadable > 0 {
            log.complaint = Some(format!("{unreadable} unreadable rows dropped from {}", path.display()));
        }
        Ok(log)
    }

    fn append_to(path: &Path, whole_rows: u64) -> Result<MetricsLog, TrainError> {
        let file = OpenOptions::new().append(true).open(path).map_err(TrainError::io("open", path))?;
        Ok(MetricsLog { path: path.to_path_buf(), file, whole_rows, torn: false, complained: false, complaint: None })
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut row = serde_json::to_vec(event)?;
        row.push(b'\n');
        if self.torn {
            self.file.set_len(self.whole_rows)?;
        }
        self.torn = true;
        self.file.write_all(&row)?;
        self.torn = false;
        self.whole_rows += row.len() as u64;
        Ok(())
    }
}

impl Observer for MetricsLog {
    fn on(&mut self, event: &Event) {
        let done = match event {
            Event::Step { .. } | Event::Evaluated { .. } => self.append(event),
            // The rows of a checkpoint's steps should be as durable as the checkpoint.
            Event::CheckpointSaved { .. } => self.file.sync_data(),
            _ => return,
        };
        if let Err(error) = done
            && !self.complained
        {
            self.complained = true;
            let path = self.path.display();
            self.complaint = Some(format!("could not write {path}: {error}; training goes on, rows may be missing"));
        }
    }

    fn complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }
}

/// The rows of `log` whose key `step` is at most `step`, byte for byte, and the number of rows dropped because they are not
/// such rows. A last row without its line end is torn and goes without being counted.
fn rows_up_to(log: &[u8], step: u64) -> (Vec<u8>, usize) {
    let mut kept = Vec::with_capacity(log.len());
    let mut unreadable = 0;
    for line in log.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        match serde_json::from_slice::<serde_json::Value>(line).ok().and_then(|row| row.get("step")?.as_u64()) {
            Some(row_step) if row_step <= step => kept.extend_from_slice(line),
            Some(_) => {}
            None => unreadable += 1,
        }
    }
    (kept, unreadable)
}
