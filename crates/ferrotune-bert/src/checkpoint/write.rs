//! Writes one safetensors file: the header through the `safetensors` crate, the data streamed so that the model is not
//! in memory twice, then fsync. Same tensors, same bytes. It must not know folders or configurations.

use super::read::{Format, WeightsFile, check_finite};
use super::stored::check_name;
use crate::error::BertError;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A tensor to write: its name in the folder, its dimensions, its values row-major.
#[derive(Clone, Copy, Debug)]
pub struct TensorToSave<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// Its dimensions, outermost first.
    pub shape: &'a [usize],
    /// As many values as the product of the dimensions.
    pub values: &'a [f32],
}

/// The header before its tensors must fill a multiple of this many bytes, so that the data is aligned.
const ALIGNMENT: usize = 8;

/// Writes `tensors` as F32, sorted by name, with `{"format": "pt"}`, which transformers asks for. The layout is that of
/// `safetensors::serialize`. The file must not exist yet; it gets the mode that the umask gives.
///
/// The tensors have passed [`check_tensors`].
pub(crate) fn write_weights(path: &Path, tensors: &[TensorToSave]) -> Result<(), BertError> {
    let mut sorted: Vec<&TensorToSave> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(b.name));
    let header = header_bytes(&sorted).map_err(|cause| BertError::io("describe the tensors of", path, cause))?;
    create_durably(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        let mut bytes = Vec::with_capacity(1 << 16);
        for tensor in &sorted {
            for block in tensor.values.chunks((1 << 16) / size_of::<f32>()) {
                bytes.clear();
                bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
                file.write_all(&bytes)?;
            }
        }
        Ok(())
    })
}

/// Refuses values that are not finite, in the name of the file `path` that they are meant for.
///
/// # Panics
/// If a tensor's values are not as many as its shape says, or a name is bad or occurs twice.
pub(crate) fn check_tensors(path: &Path, tensors: &[TensorToSave]) -> Result<(), BertError> {
    let mut seen = HashSet::new();
    for TensorToSave { name, shape, values } in tensors {
        let elements: usize = shape.iter().product();
        assert!(
            elements == values.len(),
            "save_model: tensor {name} of shape {shape:?} expected {elements} values, got {}",
            values.len()
        );
        assert!(check_name(name).is_ok(), "save_model: {name:?} is not a tensor name that can be read back");
        assert!(seen.insert(name), "save_model: tensor {name} occurs twice");
        check_finite(path, name, values)?;
    }
    Ok(())
}

fn header_bytes(sorted: &[&TensorToSave]) -> io::Result<Vec<u8>> {
    let mut offset = 0;
    let mut entries = Vec::with_capacity(sorted.len());
    for tensor in sorted {
        let begin = offset;
        offset += size_of_val(tensor.values);
        let (dtype, shape) = (safetensors::Dtype::F32, tensor.shape.to_vec());
        entries.push((tensor.name.to_string(), TensorInfo { dtype, shape, data_offsets: (begin, offset) }));
    }
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    let metadata = Metadata::new(Some(format), entries).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(header)
}

/// Creates a file that did not exist, lets `fill` write it, and returns once its bytes are on the disk.
pub(crate) fn create_durably(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<std::fs::File>) -> io::Result<()>,
) -> Result<(), BertError> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(OpenOptions::new().write(true).create_new(true).open(path)?);
        fill(&mut file)?;
        file.into_inner()?.sync_all()
    };
    write().map_err(|cause| BertError::io("write", path, cause))
}

/// Reads back a file that [`write_weights`] wrote and compares every bit with what is in memory.
pub(crate) fn verify_weights(path: &Path, tensors: &[TensorToSave]) -> Result<(), BertError> {
    let unfaithful = |problem: String| BertError::Unfaithful { file: path.to_path_buf(), problem };
    let file = WeightsFile::open(path, Format::Safetensors)?;
    if file.header.tensors.len() != tensors.len() {
        let stored = file.header.tensors.len();
        return Err(unfaithful(format!("{} tensors were written, {stored} read back", tensors.len())));
    }
    let by_name: HashMap<&str, &TensorToSave> = tensors.iter().map(|tensor| (tensor.name, tensor)).collect();
    let mut reader = file.reader()?;
    for stored in &file.header.tensors {
        let meant = by_name.get(stored.name.as_str()).filter(|meant| meant.shape == stored.shape);
        let Some(meant) = meant else {
            return Err(unfaithful(format!("tensor {} reads back with another name or shape", stored.name)));
        };
        if let Some(index) = reader.first_difference(stored, meant.values)? {
            return Err(unfaithful(format!("tensor {} reads back differently at index {index}", stored.name)));
        }
    }
    reader.finish()
}
