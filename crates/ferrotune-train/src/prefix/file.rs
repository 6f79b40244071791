//! Rows of numbers in a file, each with a checksum: a row counts only if its checksum fits, so a crash or damage at any moment
//! costs a row and never gives a wrong one. Must not know what the numbers are.
//!
//! Layout: 128 bytes of header (format, key, size); then each row in order as a checksum of four bytes and its numbers, all
//! little-endian. A checksum of 0 means that the row was not written yet.

use crate::error::TrainError;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: usize = 128;

/// An open file of rows.
pub(super) struct RowFile {
    path: PathBuf,
    file: File,
    /// Where each row's checksum lies.
    offsets: Vec<u64>,
    buffer: Vec<u8>,
}

impl RowFile {
    /// Opens `KEY.prefix` in `folder`, or makes it with room for rows of these lengths. A file whose header or size is not what it
    /// should be is replaced.
    pub fn open(folder: &Path, key: &str, lengths: &[usize]) -> Result<RowFile, TrainError> {
        let mut offsets = Vec::with_capacity(lengths.len());
        let mut end = HEADER as u64;
        for &length in lengths {
            offsets.push(end);
            end += 4 + 4 * length as u64;
        }
        let mut header = format!("ferrotune prefix 1\n{key}\n{end}\n").into_bytes();
        assert!(header.len() <= HEADER, "RowFile: the key {key:?} is too long");
        header.resize(HEADER, b'\n');

        std::fs::create_dir_all(folder).map_err(TrainError::io("make", folder))?;
        let path = folder.join(format!("{key}.prefix"));
        let file = match open_whole(&path, &header, end).map_err(TrainError::io("open", &path))? {
            Some(file) => file,
            None => create(folder, &path, &header, end).map_err(TrainError::io("make", &path))?,
        };
        Ok(RowFile { path, file, offsets, buffer: Vec::new() })
    }

    /// Copies a row to `out` and says whether it is there.
    pub fn read(&mut self, row: usize, out: &mut [f32]) -> Result<bool, TrainError> {
        self.buffer.resize(4 + 4 * out.len(), 0);
        let Self { file, buffer, offsets, path } = self;
        match file.seek(SeekFrom::Start(offsets[row])).and_then(|_| file.read_exact(buffer)) {
            Ok(()) => {}
            // A run that needed the room has emptied it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(TrainError::io("read", path)(error)),
        }
        let (stored, values) = buffer.split_at(4);
        if stored != checksum(row, values).to_le_bytes() {
            return Ok(false);
        }
        for (out, value) in out.iter_mut().zip(values.as_chunks::<4>().0) {
            *out = f32::from_le_bytes(*value);
        }
        Ok(true)
    }

    /// Gives the room of all rows back to the disk. Where that fails it stays taken.
    pub fn empty(&mut self) {
        let _ = File::options().write(true).open(&self.path).and_then(|file| file.set_len(HEADER as u64));
    }

    pub fn write(&mut self, row: usize, values: &[f32]) -> Result<(), TrainError> {
        self.buffer.clear();
        self.buffer.extend([0; 4]);
        self.buffer.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let sum = checksum(row, &self.buffer[4..]);
        self.buffer[..4].copy_from_slice(&sum.to_le_bytes());
        let Self { file, buffer, offsets, path } = self;
        file.seek(SeekFrom::Start(offsets[row]))
            .and_then(|_| file.write_all(buffer))
            .map_err(TrainError::io("write", path))
    }
}

#[cfg(test)]
impl RowFile {
    /// As if the disk were full.
    pub fn refuse_writing(&mut self) {
        self.file = File::open(&self.path).expect("it is there");
    }
}

/// CRC-32 of the row's number and its bytes, never 0.
fn checksum(row: usize, bytes: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&(row as u64).to_le_bytes());
    hash.update(bytes);
    hash.finalize().max(1)
}

/// The file, if it is there with this header and size.
fn open_whole(path: &Path, header: &[u8], size: u64) -> io::Result<Option<File>> {
    let mut file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut found = Vec::with_capacity(HEADER);
    (&mut file).take(HEADER as u64).read_to_end(&mut found)?;
    Ok((found == header && file.metadata()?.len() == size).then_some(file))
}

/// Made under another name and renamed, so that a second run never sees half a header.
fn create(folder: &Path, path: &Path, header: &[u8], size: u64) -> io::Result<File> {
    let temporary = folder.join(format!(".prefix-{}.tmp", std::process::id()));
    let make = || {
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(header)?;
        // Sparse where the file system can: room is taken as rows are written.
        file.set_len(size)?;
        std::fs::rename(&temporary, path)?;
        Ok(file)
    };
    make().inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}
