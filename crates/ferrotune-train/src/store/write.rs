//! Writing the files of a checkpoint into a temporary folder, hashed on the way and synced. Must not know where the folder goes
//! afterwards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::TrainError;
use crate::store::fingerprint::{Fingerprint, hex};

use super::disk::Disk;
use super::manifest::{FileEntry, MANIFEST, Manifest};
use super::names;

/// Bytes hashed and written at a time; small enough to be still in cache for the second of both.
const BLOCK: usize = 1 << 18;

/// What goes into a file.
pub enum Contents<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Whatever the function writes. The writer is buffered.
    Writer(&'a dyn Fn(&mut dyn Write) -> io::Result<()>),
}

/// Panics when a name is not allowed or occurs twice: names are chosen by the program.
pub(super) fn check_names(files: &[(&str, Contents<'_>)]) {
    for (index, (name, _)) in files.iter().enumerate() {
        assert!(names::is_plain(name) && *name != MANIFEST, "Store::commit: file name {name:?} is not allowed");
        assert!(files[..index].iter().all(|(other, _)| other != name), "Store::commit: file {name:?} given twice");
    }
}

/// Makes the folder `directory` with all files and the manifest, all synced. Returns the size of the files.
pub(super) fn checkpoint(
    disk: &dyn Disk,
    directory: &Path,
    step: u64,
    fingerprint: &Fingerprint,
    files: &[(&str, Contents<'_>)],
) -> Result<u64, TrainError> {
    disk.create_directory(directory).map_err(TrainError::io("create", directory))?;
    let mut entries = BTreeMap::new();
    for (name, contents) in files {
        entries.insert(name.to_string(), file(disk, &directory.join(name), contents)?);
    }
    let manifest = Manifest { step, files: entries, fingerprint: fingerprint.clone() };
    let sealed = file(disk, &directory.join(MANIFEST), &Contents::Bytes(&manifest.to_bytes()))?;
    disk.sync_directory(directory).map_err(TrainError::io("sync", directory))?;
    Ok(sealed.bytes + manifest.files.values().map(|entry| entry.bytes).sum::<u64>())
}

fn file(disk: &dyn Disk, path: &Path, contents: &Contents<'_>) -> Result<FileEntry, TrainError> {
    let file = disk.create_file(path).map_err(TrainError::io("create", path))?;
    let mut output = HashedFile { disk, path, file, hash: Sha256::new(), bytes: 0 };
    let written = match contents {
        Contents::Bytes(bytes) => bytes.chunks(BLOCK).try_for_each(|block| output.write_all(block)),
        Contents::Writer(write) => {
            let mut buffered = BufWriter::with_capacity(BLOCK, &mut output);
            write(&mut buffered).and_then(|()| buffered.flush())
        }
    };
    written.map_err(TrainError::io("write", path))?;
    disk.sync_file(&output.file, path).map_err(TrainError::io("sync", path))?;
    Ok(FileEntry { bytes: output.bytes, sha256: hex(&output.hash.finalize()) })
}

/// Counts and hashes what passes through to the file.
struct HashedFile<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for HashedFile<'_> {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.disk.write(&mut self.file, self.path, block)?;
        self.hash.update(block);
        self.bytes += block.len() as u64;
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
