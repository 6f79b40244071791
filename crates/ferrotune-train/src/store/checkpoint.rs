//! A committed checkpoint, for reading: every byte that leaves here has been compared with the manifest. Must not know what
//! the files hold, and never changes the disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::TrainError;
use crate::store::fingerprint::{Fingerprint, sha256_bytes, sha256_file};

use super::manifest::{FileEntry, Manifest};

/// An intact checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    manifest: Manifest,
}

impl Checkpoint {
    /// Opens the checkpoint of `step` in `directory` and hashes all its files.
    pub(super) fn open(directory: PathBuf, step: u64) -> Result<Checkpoint, TrainError> {
        if directory.is_symlink() {
            return Err(TrainError::Symlink { path: directory });
        }
        let manifest = Manifest::read(&directory, step)?;
        for (name, entry) in &manifest.files {
            let path = directory.join(name);
            open_of_size(&path, entry)?;
            compare_hash(&path, entry, sha256_file(&path)?)?;
        }
        Ok(Checkpoint { directory, manifest })
    }

    #[cfg(test)]
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Optimizer steps done when it was saved.
    pub fn step(&self) -> u64 {
        self.manifest.step
    }

    /// Its folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The fingerprint of the run that saved it.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.manifest.fingerprint
    }

    /// The bytes of a file, read once and hashed as read. A name that the checkpoint does not have is
    /// [`TrainError::CheckpointDamaged`]: whoever asks expects it there.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, TrainError> {
        let path = self.directory.join(name);
        let Some(entry) = self.manifest.files.get(name) else {
            return Err(TrainError::CheckpointDamaged { path, what: "the manifest does not list it".to_string() });
        };
        let file = open_of_size(&path, entry)?;
        // No allocation from the manifest's size alone: the file on disk has just been seen to have it.
        let mut bytes = Vec::with_capacity(entry.bytes as usize);
        file.take(entry.bytes).read_to_end(&mut bytes).map_err(TrainError::io("read", &path))?;
        compare_hash(&path, entry, sha256_bytes(&bytes))?;
        Ok(bytes)
    }
}

/// Opens a regular file; a missing one is damage, a link is refused.
pub(super) fn open_plain_file(path: &Path) -> Result<File, TrainError> {
    let damaged = |what: &str| TrainError::CheckpointDamaged { path: path.to_path_buf(), what: what.to_string() };
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(damaged("it is missing"));
        }
        Err(error) => return Err(TrainError::io("look at", path)(error)),
    };
    if kind.is_symlink() {
        return Err(TrainError::Symlink { path: path.to_path_buf() });
    }
    if !kind.is_file() {
        return Err(damaged("it is not a regular file"));
    }
    File::open(path).map_err(TrainError::io("open", path))
}

fn open_of_size(path: &Path, entry: &FileEntry) -> Result<File, TrainError> {
    let file = open_plain_file(path)?;
    let found = file.metadata().map_err(TrainError::io("look at", path))?.len();
    if found != entry.bytes {
        let what = format!("it has {found} bytes, {} were saved", entry.bytes);
        return Err(TrainError::CheckpointDamaged { path: path.to_path_buf(), what });
    }
    Ok(file)
}

fn compare_hash(path: &Path, entry: &FileEntry, found: String) -> Result<(), TrainError> {
    if found == entry.sha256 {
        return Ok(());
    }
    let what = format!("its sha256 is {found}, {} was saved", entry.sha256);
    Err(TrainError::CheckpointDamaged { path: path.to_path_buf(), what })
}
