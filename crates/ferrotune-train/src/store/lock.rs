//! One run, one folder: an operating-system lock on `run.lock`, held for life. The kernel frees it when the process dies in
//! whatever way, so there is no stale lock to clean; the file itself is never removed. Must not know checkpoints.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::TrainError;

/// Name of the lock file inside a run folder.
pub const LOCK_FILE: &str = "run.lock";

/// The right to write into a run folder, until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    directory: PathBuf,
    /// Holds the lock; closing it frees the folder.
    _file: File,
}

impl RunLock {
    /// Locks the existing folder `directory` for this process and writes process id and start time into `run.lock`.
    ///
    /// Returns [`TrainError::Locked`] when another run, also one in this process, holds it.
    pub fn acquire(directory: &Path) -> Result<RunLock, TrainError> {
        let path = directory.join(LOCK_FILE);
        if path.is_symlink() {
            return Err(TrainError::Symlink { path });
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(TrainError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::Locked { directory: directory.to_path_buf(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(TrainError::io("lock", &path)(error)),
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let text = format!("process {} since {}\n", std::process::id(), utc(seconds));
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(TrainError::io("write", &path))?;
        Ok(RunLock { directory: directory.to_path_buf(), _file: file })
    }

    /// The locked run folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// What the lock file says about its holder. It may be anything: the holder may not have written it yet.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(200).read_to_string(&mut text);
    let line = text.lines().next().unwrap_or_default();
    if read.is_err() || !line.starts_with("process ") {
        return "another process".to_string();
    }
    line.escape_debug().to_string()
}

/// Seconds since 1970 as `2026-01-31T08:05:09Z`, proleptic Gregorian calendar.
fn utc(seconds: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, clock) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn the_second_run_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(folder.path()).unwrap();
        let error = RunLock::acquire(folder.path()).unwrap_err();
        assert_eq!(error.exit_code(), 7);
        let expected = format!("in use by process {} since 20", std::process::id());
        assert!(error.to_string().contains(&expected), "{error}");
        drop(first);
        assert!(folder.path().join(LOCK_FILE).exists());
        RunLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn of_many_racing_starts_one_wins() {
        const STARTS: usize = 20;
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let (ready, done) = (Barrier::new(STARTS), Barrier::new(STARTS));
            let winners = std::thread::scope(|scope| {
                let start = || {
                    ready.wait();
                    let lock = RunLock::acquire(folder.path());
                    done.wait();
                    lock.is_ok()
                };
                let threads: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
            });
            assert_eq!(winners, 1);
        }
    }

    #[test]
    fn odd_lock_files_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        std::fs::write(&path, vec![0xff; 100_000]).unwrap();
        let lock = RunLock::acquire(folder.path()).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 100);
        // The holder's text damaged while it runs.
        std::fs::write(&path, "process \u{1b}[2J 5\nmore").unwrap();
        let message = RunLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(message.contains("process \\u{1b}[2J 5;"), "{message}");
        std::fs::write(&path, "").unwrap();
        let message = RunLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another process"), "{message}");
        drop(lock);
        assert!(RunLock::acquire(&folder.path().join("missing")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_linked_lock_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("victim");
        std::os::unix::fs::symlink(&target, folder.path().join(LOCK_FILE)).unwrap();
        assert!(matches!(RunLock::acquire(folder.path()), Err(TrainError::Symlink { .. })));
        assert!(!target.exists());
    }

    /// Times from `date -u -d @SECONDS`.
    #[test]
    fn times_are_written_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_772_323_200, "2026-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(utc(seconds), expected);
        }
    }
}
