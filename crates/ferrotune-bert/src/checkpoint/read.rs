//! One weights file, read with `read()` tensor by tensor into `Vec<f32>`. No memory map: a file that is cut while it is
//! mapped kills the process. It must not know which tensors a model wants.

use super::header::{Dtype, Header, StoredTensor, read_header};
use crate::error::BertError;
use crate::json::open_regular;
use half::{bf16, f16};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes read at a time. A multiple of every element size.
const BLOCK: usize = 1 << 20;

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
    pub(crate) fn open(path: &Path) -> Result<WeightsFile, BertError> {
        let (mut file, metadata) = open_regular(path)?;
        let header = read_header(&mut file, metadata.len(), path)?;
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
        let mut values: Vec<f32> = Vec::new();
        // The header check bounded this by the file's size, so it can only fail on a machine short of memory.
        values
            .try_reserve_exact(tensor.elements() as usize)
            .map_err(|_| BertError::io("hold in memory", &self.of.path, io::ErrorKind::OutOfMemory.into()))?;
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
        check_finite(&self.of.path, &tensor.name, &values)?;
        Ok(values)
    }

    /// Flat index of the first element of an F32 tensor whose bits differ from `expected`, which has as many elements.
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
        let mut left = tensor.bytes;
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
