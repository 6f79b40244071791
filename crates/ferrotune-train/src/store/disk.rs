//! The operations that change the disk, behind one trait so that tests can make each of them fail. Reading is not here. Must
//! not know checkpoints.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// What the store asks of the disk. Paths travel with the files because a fault-injecting disk keeps account by path.
pub(crate) trait Disk {
    /// Makes a folder that must not exist yet.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes an empty file that must not exist yet, not even as a dangling link.
    fn create_file(&self, path: &Path) -> io::Result<File>;
    /// Appends all bytes.
    fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the file's bytes are on stable storage.
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()>;
    /// Returns when the names inside the folder are on stable storage.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Gives a file or folder another name in the same file system; replaces a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a folder and all in it, without following links.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
}

/// The operating system.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn write(&self, file: &mut File, _: &Path, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync_file(&self, file: &File, _: &Path) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        // Elsewhere a folder cannot be opened as a file, and a rename needs no such step.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}
