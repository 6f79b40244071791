//! One weights file, read with `read()` tensor by tensor into `Vec<f32>`. No memory map: a file that is cut while it is
//! mapped kills the process. A format is known here by what its header says alone, which tensor lies where; it must not know
//! which tensors a model wants.

use super::header;
use super::pytorch;
use super::stored::{Dtype, Header, StoredTensor};
use super::strides::gather;
use crate::error::BertError;
use crate::json::open_regular;
use half::{bf16, f16};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes read at a time. A multiple of every element size.
const BLOCK: usize = 1 << 20;

/// How a weights file says what it holds. The values themselves lie in it alike: raw, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A JSON header before the data.
    Safetensors,
    /// A pickle, in a zip archive or before the data.
    PyTorch,
}

/// A weights file whose header has been read and checked.
#[derive(Debug)]
pub(crate) struct WeightsFile {
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    pub header: Header,
    modified: Option<SystemTime>,
}

impl WeightsFile {
    /// Reads the header only.
    pub(crate) fn open(path: &Path, format: Format) -> Result<WeightsFile, BertError> {
        let (mut file, metadata) = open_regular(path)?;
        let header = match format {
            Format::Safetensors => header::read_header(&mut file, metadata.len(), path)?,
            Format::PyTorch => pytorch::read_header(&mut file, metadata.len(), path)?,
        };
        let modified = metadata.modified().ok();
        Ok(WeightsFile { path: path.to_path_buf(), bytes: metadata.len(), header, modified })
    }

    /// Opens the file again for its data; an error if it is no longer the file whose header was read.
    pub(crate) fn reader(&self) -> Result<WeightsReader<'_>, BertError> {
        let (file, metadata) = open_regular(&self.path)?;
        self.check_unchanged(&metadata)?;
        Ok(WeightsReader { of: self, file, block: vec![0; BLOCK] })
    }

    fn check_unchanged(&self, now: &Metadata) -> Result<(), BertError> {
        if now.len() == self.bytes && now.modified().ok() == self.modified {
            return Ok(());
        }
        let problem = "changed while it was being read; wait until its writer is done and start again".to_string();
        Err(BertError::Format { file: self.path.clone(), problem })
    }
}

/// The open data part of a weights file.
pub(crate) struct WeightsReader<'a> {
    of: &'a WeightsFile,
    file: File,
    block: Vec<u8>,
}

impl WeightsReader<'_> {
    /// The tensor's values as f32, row-major. NaN and infinities are an error that names the tensor and counts them.
    ///
    /// The tensor must be of a type with [`Dtype::is_weight`]; the caller has checked that.
    pub(crate) fn values(&mut self, tensor: &StoredTensor) -> Result<Vec<f32>, BertError> {
        let mut values = self.room(tensor.span() / tensor.dtype.bytes())?;
        self.blocks(tensor, |bytes| match tensor.dtype {
            Dtype::F32 => values.extend(bytes.as_chunks::<4>().0.iter().map(|&chunk| f32::from_le_bytes(chunk))),
            Dtype::F16 => {
                values.extend(bytes.as_chunks::<2>().0.iter().map(|&chunk| f16::from_le_bytes(chunk).to_f32()))
            }
            Dtype::BF16 => {
                values.extend(bytes.as_chunks::<2>().0.iter().map(|&chunk| bf16::from_le_bytes(chunk).to_f32()));
            }
            other => panic!("WeightsReader::values: tensor {} is {other:?}, expected a weight type", tensor.name),
        })?;
        if let Some(strides) = &tensor.strides {
            let mut gathered = self.room(tensor.elements())?;
            gather(&values, &tensor.shape, strides, &mut gathered);
            values = gathered;
        }
        check_finite(&self.of.path, &tensor.name, &values)?;
        Ok(values)
    }

    /// An empty list with room for so many values. The header check bounded them by the file's size, so this can only fail
    /// on a machine short of memory.
    fn room(&self, elements: u64) -> Result<Vec<f32>, BertError> {
        let mut values = Vec::new();
        values
            .try_reserve_exact(elements as usize)
            .map_err(|_| BertError::io("hold in memory", &self.of.path, io::ErrorKind::OutOfMemory.into()))?;
        Ok(values)
    }

    /// Flat index of the first element of a row-major F32 tensor whose bits differ from `expected`, which has as many
    /// elements.
    pub(crate) fn first_difference(
        &mut self,
        tensor: &StoredTensor,
        expected: &[f32],
    ) -> Result<Option<usize>, BertError> {
        let (mut at, mut difference) = (0, None);
        self.blocks(tensor, |bytes| {
            let stored = bytes.as_chunks::<4>().0;
            let here = &expected[at..at + stored.len()];
            if difference.is_none() {
                let unequal = stored.iter().zip(here).position(|(bytes, value)| *bytes != value.to_le_bytes());
                difference = unequal.map(|index| at + index);
            }
            at += stored.len();
        })?;
        Ok(difference)
    }

    /// Checks that nobody changed the file while it was read.
    pub(crate) fn finish(self) -> Result<(), BertError> {
        let now = self.file.metadata().map_err(|cause| BertError::io("read", &self.of.path, cause))?;
        self.of.check_unchanged(&now)
    }

    fn blocks(&mut self, tensor: &StoredTensor, mut each: impl FnMut(&[u8])) -> Result<(), BertError> {
        let io = |cause| BertError::io("read", &self.of.path, cause);
        self.file.seek(SeekFrom::Start(tensor.begin)).map_err(io)?;
        let mut left = tensor.span();
        while left > 0 {
            let block = &mut self.block[..left.min(BLOCK as u64) as usize];
            self.file.read_exact(block).map_err(io)?;
            left -= block.len() as u64;
            each(block);
        }
        Ok(())
    }
}

/// An error that names `tensor` and counts its NaNs and infinities, if it has any.
pub(crate) fn check_finite(file: &Path, tensor: &str, values: &[f32]) -> Result<(), BertError> {
    // All exponent bits set: infinity or NaN. An integer test, so that it vectorises without a float comparison.
    let is_bad = |value: &f32| value.to_bits() & 0x7f80_0000 == 0x7f80_0000;
    let count: usize = values.iter().map(|value| usize::from(is_bad(value))).sum();
    if count == 0 {
        return Ok(());
    }
    let first = values.iter().position(is_bad).unwrap_or(0);
    let (file, tensor, elements) = (file.to_path_buf(), tensor.to_string(), values.len());
    Err(BertError::NonFinite { file, tensor, count, elements, first })
}
