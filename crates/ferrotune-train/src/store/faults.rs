//! A disk for tests that fails at the n-th operation and, like a machine that loses power, forgets what was not synced. It
//! works on real files but never syncs, so that thousands of states take seconds.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, RealDisk};

/// When and how to fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    /// Operation that fails, counted from 1.
    pub(super) at: usize,
    /// All later ones fail too: with any error code this is a disk gone bad, and also a process killed at that point.
    pub(super) forever: bool,
    /// The system's error number.
    pub(super) code: i32,
}

/// What a write that was not synced leaves in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Torn {
    /// Nothing.
    Empty,
    /// The first half.
    Half,
    /// The whole length, all zeros: the length was stored before the data.
    Zeros,
}

/// A change that a crash may undo, because the folder or file it is in was not synced since.
#[derive(Debug, Clone)]
enum Volatile {
    Created(PathBuf),
    /// From, to, and a copy of the file that was replaced.
    Renamed(PathBuf, PathBuf, Option<PathBuf>),
    /// What, and where it waits.
    Removed(PathBuf, PathBuf),
    Data(PathBuf),
}

#[derive(Default)]
struct State {
    operations: usize,
    fault: Option<Fault>,
    volatile: Vec<Volatile>,
}

/// Clones share one state.
#[derive(Clone)]
pub(super) struct FaultDisk {
    state: Arc<Mutex<State>>,
    /// Where removed folders wait for a crash that brings them back.
    attic: PathBuf,
}

impl FaultDisk {
    pub(super) fn new(attic: &Path, fault: Option<Fault>) -> FaultDisk {
        FaultDisk { state: Arc::new(Mutex::new(State { fault, ..State::default() })), attic: attic.to_path_buf() }
    }

    /// Operations asked for so far.
    pub(super) fn operations(&self) -> usize {
        self.state.lock().unwrap().operations
    }

    /// Number of changes that a crash now may or may not keep, and whether a write is among them.
    pub(super) fn volatile_changes(&self) -> (usize, bool) {
        let volatile = &self.state.lock().unwrap().volatile;
        (volatile.len(), volatile.iter().any(|change| matches!(change, Volatile::Data(_))))
    }

    /// Crashes: the i-th volatile change is lost when bit i of `lost` is set, the others happened. Later changes are undone
    /// first. A lost write leaves what `torn` says.
    pub(super) fn crash(&self, lost: u64, torn: Torn) {
        let volatile = std::mem::take(&mut self.state.lock().unwrap().volatile);
        let mut kept_renames: Vec<(PathBuf, PathBuf)> = Vec::new();
        for (index, change) in volatile.iter().enumerate().rev() {
            // Where a path of that time is now, after the later renames that were kept.
            let now = |path: &Path| {
                kept_renames.iter().rev().fold(path.to_path_buf(), |path, (from, to)| match path.strip_prefix(from) {
                    Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
                    Ok(rest) => to.join(rest),
                    Err(_) => path,
                })
            };
            if lost >> index.min(63) & 1 == 0 {
                if let Volatile::Renamed(from, to, _) = change {
                    kept_renames.push((from.clone(), to.clone()));
                }
                continue;
            }
            match change {
                // A kept rename has made the name durable by itself.
                Volatile::Created(path) if kept_renames.iter().any(|(from, _)| from == path) => {}
                Volatile::Created(path) if now(path).is_dir() => drop(std::fs::remove_dir_all(now(path))),
                Volatile::Created(path) => drop(std::fs::remove_file(now(path))),
                // Impossible on a real disk when the name is taken again.
                Volatile::Renamed(from, to, replaced) if !from.exists() => {
                    let _ = std::fs::rename(now(to), from);
                    replaced.iter().for_each(|copy| drop(std::fs::rename(copy, to)));
                }
                Volatile::Removed(path, backup) if !path.exists() => drop(std::fs::rename(backup, path)),
                Volatile::Renamed(..) | Volatile::Removed(..) => {}
                Volatile::Data(path) => {
                    if let Ok(file) = File::options().write(true).open(now(path)) {
                        let length = file.metadata().unwrap().len();
                        file.set_len(if torn == Torn::Half { length / 2 } else { 0 }).unwrap();
                        if torn == Torn::Zeros {
                            file.set_len(length).unwrap();
                        }
                    }
                }
            }
        }
    }

    /// Counts an operation and says whether it fails.
    fn step(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.operations += 1;
        match state.fault {
            Some(fault) if state.operations == fault.at || (fault.forever && state.operations > fault.at) => {
                Err(io::Error::from_raw_os_error(fault.code))
            }
            _ => Ok(()),
        }
    }

    /// Has the process been killed before this operation?
    fn is_dead(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.fault.is_some_and(|fault| fault.forever && state.operations > fault.at)
    }

    /// A free path in the attic, which several disks of one test may share.
    fn backup(&self) -> PathBuf {
        let mut paths = (0..).map(|number| self.attic.join(format!("backup-{number}")));
        paths.find(|path| path.symlink_metadata().is_err()).expect("some number is free")
    }

    fn note(&self, change: Volatile) {
        self.state.lock().unwrap().volatile.push(change);
    }
}

impl Disk for FaultDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.create_directory(path)?;
        self.note(Volatile::Created(path.to_path_buf()));
        Ok(())
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        let file = RealDisk.create_file(path)?;
        self.note(Volatile::Created(path.to_path_buf()));
        Ok(file)
    }

    fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let verdict = self.step();
        if verdict.is_err() && !self.is_dead() {
            file.write_all(&bytes[..bytes.len() / 2])?;
        }
        verdict?;
        self.note(Volatile::Data(path.to_path_buf()));
        file.write_all(bytes)
    }

    fn sync_file(&self, _: &File, path: &Path) -> io::Result<()> {
        self.step()?;
        let written_here = |change: &Volatile| matches!(change, Volatile::Data(written) if written == path);
        self.state.lock().unwrap().volatile.retain(|change| !written_here(change));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let named_here = |change: &Volatile| match change {
            Volatile::Created(entry) | Volatile::Renamed(_, entry, _) | Volatile::Removed(entry, _) => {
                entry.parent() == Some(path)
            }
            Volatile::Data(_) => false,
        };
        self.state.lock().unwrap().volatile.retain(|change| !named_here(change));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let replaced = to.is_file().then(|| self.backup());
        if let Some(copy) = &replaced {
            std::fs::copy(to, copy)?;
        }
        RealDisk.rename(from, to)?;
        self.note(Volatile::Renamed(from.to_path_buf(), to.to_path_buf(), replaced));
        Ok(())
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        if let Err(error) = self.step() {
            // Stopped half-way: one file is gone.
            if !self.is_dead()
                && let Some(Ok(entry)) = std::fs::read_dir(path)?.next()
            {
                std::fs::remove_file(entry.path())?;
            }
            return Err(error);
        }
        let backup = self.backup();
        RealDisk.rename(path, &backup)?;
        self.note(Volatile::Removed(path.to_path_buf(), backup));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.remove_file(path)
    }
}
