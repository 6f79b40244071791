//! The layout of PyTorch 1.6 and later: a zip archive with `NAME/data.pkl` and the storages as `NAME/data/KEY`, none of them
//! compressed, so that every byte has a place in the file. It must not know what a pickle says beyond its storages.

use super::super::stored::{HEADER_CAP, StoredTensor};
use super::{CONVERT, DAMAGED, Fault, pickle, tensors};
use crate::error::{one_line, quoted};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// The first bytes.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
const PICKLE: &str = "data.pkl";
/// Most bytes that are read of all that is no data: the directory of the archive, the pickle, the headers of entries.
const BOUND: u64 = 2 * HEADER_CAP;

/// The tensors of the archive, whose data is not read.
pub(super) fn tensors(file: &mut File, file_bytes: u64) -> Result<Vec<StoredTensor>, Fault> {
    let mut archive = Archive::open(file, file_bytes)?;
    let root = archive.root()?;
    let order = format!("{root}/byteorder");
    if archive.zip.index_for_name(&order).is_some() && archive.read(&order)? != b"little" {
        return Err(Fault::Format(format!("has its numbers in another order than little-endian; {CONVERT}")));
    }
    let pickle = archive.read(&format!("{root}/{PICKLE}"))?;
    let pickled = pickle::load(&pickle)?;
    let mut begins = Vec::with_capacity(pickled.objects.storages.len());
    for storage in &pickled.objects.storages {
        let name = format!("{root}/data/{}", storage.key);
        let entry = archive.find(&name)?;
        if entry.bytes != storage.bytes {
            return Err(Fault::Format(format!(
                "its entry {} has {} bytes, {} of {} need {}; {DAMAGED}",
                quoted(&name),
                entry.bytes,
                storage.elements,
                storage.dtype.name(),
                storage.bytes
            )));
        }
        begins.push(entry.begin);
    }
    Ok(tensors::stored(&pickled, &begins)?)
}

/// The archive's directory has been read; its entries have not.
struct Archive<'a> {
    zip: ZipArchive<Bounded<'a>>,
    file_bytes: u64,
}

/// Where an entry's data lies: inside the file.
struct Entry {
    index: usize,
    begin: u64,
    bytes: u64,
}

impl<'a> Archive<'a> {
    fn open(file: &'a mut File, file_bytes: u64) -> Result<Archive<'a>, Fault> {
        let zip = ZipArchive::new(Bounded { file: BufReader::new(file), left: BOUND }).map_err(fault)?;
        if zip.has_duplicate_names() {
            return Err(Fault::Format(format!("its zip archive has a name twice; {DAMAGED}")));
        }
        Ok(Archive { zip, file_bytes })
    }

    /// The folder that everything lies in.
    fn root(&self) -> Result<String, Fault> {
        let names = self.zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok());
        let mut roots = names.filter_map(|name| name.strip_suffix(PICKLE)?.strip_suffix('/'));
        match (roots.next(), roots.next()) {
            (Some(root), None) => Ok(root.to_string()),
            (Some(_), Some(_)) => Err(Fault::Format(format!("its zip archive has several {PICKLE}; {CONVERT}"))),
            (None, _) => {
                Err(Fault::Format(format!("is a zip archive without {PICKLE}, not one of PyTorch; {CONVERT}")))
            }
        }
    }

    fn find(&mut self, name: &str) -> Result<Entry, Fault> {
        let Some(index) = self.zip.index_for_name(name) else {
            return Err(Fault::Format(format!("its zip archive lacks the entry {}; {DAMAGED}", quoted(name))));
        };
        let entry = self.zip.by_index_raw(index).map_err(fault)?;
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(Fault::Format(format!(
                "its entry {} is compressed or encrypted, which PyTorch does not do; {CONVERT}",
                quoted(name)
            )));
        }
        let (begin, bytes) = (entry.data_start().unwrap_or(u64::MAX), entry.compressed_size());
        if begin.checked_add(bytes).is_none_or(|end| end > self.file_bytes) {
            return Err(Fault::Format(format!("its entry {} reaches beyond the file; {DAMAGED}", quoted(name))));
        }
        Ok(Entry { index, begin, bytes })
    }

    /// The bytes of a small entry.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, Fault> {
        let Entry { index, bytes, .. } = self.find(name)?;
        if bytes > HEADER_CAP {
            let name = quoted(name);
            return Err(Fault::Format(format!(
                "its entry {name} has {bytes} bytes, the limit is {HEADER_CAP}; {CONVERT}"
            )));
        }
        let mut content = Vec::new();
        let mut entry = self.zip.by_index_raw(index).map_err(fault)?;
        entry.read_to_end(&mut content).map_err(|cause| fault(cause.into()))?;
        Ok(content)
    }
}

/// The file, of which no more than so many bytes are read: a directory may claim to have any number of entries.
struct Bounded<'a> {
    file: BufReader<&'a mut File>,
    left: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| {
            let problem = format!("its directory and {PICKLE} have more than {BOUND} bytes");
            io::Error::new(io::ErrorKind::InvalidData, problem)
        })?;
        Ok(count)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The archive's fault, or the system's.
fn fault(error: ZipError) -> Fault {
    let kinds = [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
    match error {
        ZipError::Io(cause) if !kinds.contains(&cause.kind()) => Fault::Io(cause),
        other => Fault::Format(format!(
            "its zip archive does not hold together ({}); {DAMAGED}",
            one_line(&other.to_string(), 200)
        )),
    }
}
