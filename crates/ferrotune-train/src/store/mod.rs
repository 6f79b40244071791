//! The checkpoint store: whatever dies or fails at whatever moment, the newest committed checkpoint is whole and loads.
//! Must not know what the files of a checkpoint hold.
//!
//! Commit: make `.tmp-<step>-<process>`; write each file, hashing it on the way, and sync it; write and sync the manifest;
//! sync the folder; rename it to `step-<step>`; sync the parent; only then remove what is no longer to be kept. The newest
//! checkpoint is found by its name, never by time, and counts only if every file has the size and SHA-256 of the manifest.
//! After a failed sync the kernel may call lost pages clean (PostgreSQL's "fsyncgate"), so a temporary folder that saw any
//! error is thrown away and never synced again.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::TrainError;
use crate::store::fingerprint::Fingerprint;
use crate::store::lock::RunLock;

mod checkpoint;
mod disk;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod faults;
pub mod fingerprint;
pub mod lock;
mod manifest;
mod names;
mod replace;
#[cfg(test)]
mod tests;
mod write;

pub use checkpoint::Checkpoint;
pub use replace::replace_file;
pub use write::Contents;

use disk::{Disk, RealDisk};
use names::Entry;

/// Name of the checkpoint folder inside a run folder.
pub const CHECKPOINTS: &str = "checkpoints";

/// The checkpoints of one run.
pub struct Store {
    directory: PathBuf,
    keep: usize,
    disk: Box<dyn Disk + Send>,
}

/// A finished commit.
#[derive(Debug)]
pub struct Committed {
    /// The checkpoint's folder.
    pub directory: PathBuf,
    /// Size of its files.
    pub bytes: u64,
    /// Something the user should read: the checkpoint is safe, but an older one could not be removed.
    pub warning: Option<String>,
}

impl Store {
    /// Opens the store in the folder `checkpoints` of a locked run, makes it if need be, sweeps what a killed process left, and
    /// tries a write, so that a folder that cannot be written is found before training. The `keep` newest checkpoints (at least
    /// 1) stay.
    pub fn open(run: &RunLock, keep: usize) -> Result<Store, TrainError> {
        Store::open_in(run, CHECKPOINTS, keep)
    }

    /// [`Store::open`] in another folder of the run.
    pub fn open_in(run: &RunLock, folder: &str, keep: usize) -> Result<Store, TrainError> {
        Store::open_on(run.directory(), folder, keep, Box::new(RealDisk))
    }

    fn open_on(run: &Path, folder: &str, keep: usize, disk: Box<dyn Disk + Send>) -> Result<Store, TrainError> {
        assert!(keep >= 1, "Store::open: keep is 0, expected at least 1");
        let store = Store { directory: run.join(folder), keep, disk };
        let directory = &store.directory;
        match directory.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => return Err(TrainError::Symlink { path: directory.clone() }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                store.disk.create_directory(directory).map_err(TrainError::io("create", directory))?;
                store.disk.sync_directory(run).map_err(TrainError::io("sync", run))?;
            }
            Err(error) => return Err(TrainError::io("look at", directory)(error)),
        }
        store.sweep()?;
        store.try_writing()?;
        Ok(store)
    }

    /// The folder that holds the checkpoints.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Steps of the committed checkpoints, ascending. They are not checked.
    pub fn steps(&self) -> Result<Vec<u64>, TrainError> {
        let mut steps: Vec<u64> = self.entries()?.iter().filter_map(|(entry, _)| entry.committed()).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The checkpoint of `step`, checked whole.
    pub fn checkpoint(&self, step: u64) -> Result<Checkpoint, TrainError> {
        Checkpoint::open(self.directory.join(names::step(step)), step)
    }

    /// The checkpoint of the highest step, checked whole; `None` when there is none. A damaged one is
    /// [`TrainError::CheckpointDamaged`], which names the file.
    pub fn latest(&self) -> Result<Option<Checkpoint>, TrainError> {
        self.steps()?.last().map(|&step| self.checkpoint(step)).transpose()
    }

    /// The intact checkpoint of the highest step, with a warning for every damaged one above it. Those are renamed to
    /// `damaged-<step>` and never deleted. When checkpoints exist and none is intact, the error is that of the highest, so
    /// that nobody starts from scratch unawares.
    pub fn latest_intact(&self) -> Result<(Option<Checkpoint>, Vec<String>), TrainError> {
        let mut damaged = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.checkpoint(step) {
                Ok(checkpoint) => {
                    let warnings = self.set_aside(&damaged, step)?;
                    return Ok((Some(checkpoint), warnings));
                }
                Err(TrainError::CheckpointDamaged { path, what }) => damaged.push((step, path, what)),
                Err(error) => return Err(error),
            }
        }
        match damaged.into_iter().next() {
            Some((_, path, what)) => Err(TrainError::CheckpointDamaged { path, what }),
            None => Ok((None, Vec::new())),
        }
    }

    /// Renames damaged checkpoints, given with the file that is damaged and how. The warnings have no advice: there is nothing to do.
    fn set_aside(&self, damaged: &[(u64, PathBuf, String)], resumed: u64) -> Result<Vec<String>, TrainError> {
        let mut warnings = Vec::new();
        for (step, path, what) in damaged {
            let from = self.directory.join(names::step(*step));
            let mut copies = (0..).map(|copy| self.directory.join(names::damaged(*step, copy)));
            let to = copies.find(|path| path.symlink_metadata().is_err()).expect("some number is free");
            self.disk.rename(&from, &to).map_err(TrainError::io("set aside", &from))?;
            let file = path.file_name().unwrap_or_default().display();
            warnings.push(format!(
                "step {step} set aside as {}, using step {resumed}: {file} is damaged: {what}",
                to.display()
            ));
        }
        if !damaged.is_empty() {
            self.sync()?;
        }
        Ok(warnings)
    }

    /// Saves a checkpoint after `step` optimizer steps and then removes what is no longer to be kept.
    ///
    /// `files` are names (letters, digits, `.`, `_`, `-`) with their contents. A checkpoint of the same step is replaced. On
    /// an error all earlier checkpoints are as they were and the temporary folder is gone, or is swept when the store is
    /// opened again; the caller may go on training and commit again later. Only when the very last sync fails may the
    /// new checkpoint be there too, and it is whole.
    ///
    /// Panics when two files have one name or a name is not allowed.
    pub fn commit(
        &mut self,
        step: u64,
        fingerprint: &Fingerprint,
        files: &[(&str, Contents<'_>)],
    ) -> Result<Committed, TrainError> {
        write::check_names(files);
        if let Some(newest) = self.steps()?.pop_if(|newest| *newest > step) {
            return Err(TrainError::CheckpointAhead { directory: self.directory.clone(), step, newest });
        }
        let temporary = self.directory.join(names::temporary(step));
        if temporary.symlink_metadata().is_ok() {
            // Left by a commit of this process whose clean-up failed too.
            self.disk.remove_tree(&temporary).map_err(TrainError::io("remove", &temporary))?;
        }
        let published = write::checkpoint(&*self.disk, &temporary, step, fingerprint, files)
            .and_then(|bytes| Ok((bytes, self.publish(&temporary, step)?)));
        let (bytes, directory) = published.inspect_err(|_| {
            // Best effort: what stays is swept by the next open.
            let _ = self.disk.remove_tree(&temporary);
        })?;
        let warning = self.rotate().err().map(|error| format!("checkpoint {step} is saved, but {error}"));
        Ok(Committed { directory, bytes, warning })
    }

    /// Gives a finished temporary folder its final name, durably.
    fn publish(&self, temporary: &Path, step: u64) -> Result<PathBuf, TrainError> {
        let target = self.directory.join(names::step(step));
        let old = self.directory.join(names::old(step));
        let replaces = target.symlink_metadata().is_ok();
        if replaces {
            if old.symlink_metadata().is_ok() {
                // Left by a replacement whose last sync failed; the target is newer and whole.
                self.disk.remove_tree(&old).map_err(TrainError::io("remove", &old))?;
            }
            self.disk.rename(&target, &old).map_err(TrainError::io("rename", &target))?;
        }
        if let Err(error) = self.disk.rename(temporary, &target) {
            if replaces {
                // Should this fail too, the next open puts it back.
                let _ = self.disk.rename(&old, &target);
            }
            return Err(TrainError::io("rename", temporary)(error));
        }
        self.sync()?;
        if replaces {
            // What stays is swept by the next open, because the target exists.
            let _ = self.disk.remove_tree(&old);
        }
        Ok(target)
    }

    /// Removes all checkpoints but the `keep` newest.
    fn rotate(&self) -> Result<(), TrainError> {
        let steps = self.steps()?;
        let mut trash = Vec::new();
        for &step in &steps[..steps.len().saturating_sub(self.keep)] {
            let from = self.directory.join(names::step(step));
            let to = self.directory.join(names::trash(step));
            if to.symlink_metadata().is_ok() {
                self.disk.remove_tree(&to).map_err(TrainError::io("remove", &to))?;
            }
            self.disk.rename(&from, &to).map_err(TrainError::io("rename", &from))?;
            trash.push(to);
        }
        if !trash.is_empty() {
            // Else a crash could bring back the name of a checkpoint whose files are already gone.
            self.sync()?;
        }
        trash.iter().try_for_each(|path| self.disk.remove_tree(path).map_err(TrainError::io("remove", path)))
    }

    /// Clears what a killed process left. A checkpoint that was making room for a new save of its step goes back to its place
    /// when that save did not get there.
    fn sweep(&self) -> Result<(), TrainError> {
        let entries = self.entries()?;
        for (entry, path) in &entries {
            if let Entry::Old(step) = entry {
                let target = self.directory.join(names::step(*step));
                if target.symlink_metadata().is_err() {
                    self.disk.rename(path, &target).map_err(TrainError::io("rename", path))?;
                    self.sync()?;
                }
            }
        }
        for (entry, path) in &entries {
            if entry.committed().is_none() && path.symlink_metadata().is_ok() {
                self.disk.remove_tree(path).map_err(TrainError::io("remove", path))?;
            }
        }
        Ok(())
    }

    /// Creates, syncs, renames and removes a folder with a file in it.
    fn try_writing(&self) -> Result<(), TrainError> {
        let (temporary, trash) = (self.directory.join(names::temporary(0)), self.directory.join(names::trash(0)));
        write::checkpoint(&*self.disk, &temporary, 0, &Fingerprint::default(), &[])?;
        self.disk.rename(&temporary, &trash).map_err(TrainError::io("rename", &temporary))?;
        self.disk.remove_tree(&trash).map_err(TrainError::io("remove", &trash))
    }

    fn sync(&self) -> Result<(), TrainError> {
        self.disk.sync_directory(&self.directory).map_err(TrainError::io("sync", &self.directory))
    }

    /// The entries with a name of ours. A link under such a name is refused.
    fn entries(&self) -> Result<Vec<(Entry, PathBuf)>, TrainError> {
        let failed = || TrainError::io("list", &self.directory);
        let mut found = Vec::new();
        for entry in self.directory.read_dir().map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let Some(parsed) = entry.file_name().to_str().and_then(names::parse) else { continue };
            let path = entry.path();
            let kind = entry.file_type().map_err(TrainError::io("look at", &path))?;
            if kind.is_symlink() {
                return Err(TrainError::Symlink { path });
            }
            // A plain file under such a name is not of our making and stays, but it must not pass for a checkpoint.
            if kind.is_dir() || parsed.committed().is_some() {
                found.push((parsed, path));
            }
        }
        Ok(found)
    }
}
