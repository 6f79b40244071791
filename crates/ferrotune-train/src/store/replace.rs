//! Replacing one file whole: readers, and the disk after a crash, have the old bytes or the new ones. Must not know what is in
//! the file.

use std::path::Path;

use crate::error::TrainError;

use super::disk::{Disk, RealDisk};

/// Writes `bytes` to `path` through a temporary sibling: write, sync, rename, sync the folder. The mode follows the umask.
///
/// The sibling is `.<name>.tmp`; one left by a killed process is overwritten, so only the holder of the run's lock may call
/// this. When it fails the old file is untouched. A symbolic link at `path` is refused.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    replace_file_on(&RealDisk, path, bytes)
}

pub(super) fn replace_file_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let name = path.file_name().unwrap_or_else(|| panic!("replace_file: {} names no file", path.display()));
    if path.is_symlink() {
        return Err(TrainError::Symlink { path: path.to_path_buf() });
    }
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(".tmp");
    let temporary = path.with_file_name(temporary_name);
    if temporary.symlink_metadata().is_ok() {
        disk.remove_file(&temporary).map_err(TrainError::io("remove", &temporary))?;
    }
    let written = write_and_rename(disk, &temporary, path, bytes);
    if written.is_err() {
        // Best effort: what stays is overwritten by the next call.
        let _ = disk.remove_file(&temporary);
    }
    written
}

fn write_and_rename(disk: &dyn Disk, temporary: &Path, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut file = disk.create_file(temporary).map_err(TrainError::io("create", temporary))?;
    disk.write(&mut file, temporary, bytes).map_err(TrainError::io("write", path))?;
    disk.sync_file(&file, temporary).map_err(TrainError::io("sync", path))?;
    drop(file);
    disk.rename(temporary, path).map_err(TrainError::io("replace", path))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    disk.sync_directory(directory).map_err(TrainError::io("sync", directory))
}
