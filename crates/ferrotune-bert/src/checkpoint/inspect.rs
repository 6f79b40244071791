//! Lists what a folder's weights files hold, from their headers, without reading data. It must not know any model.

use super::folder::weights_files;
use super::stored::{Dtype, StoredTensor};
use crate::error::BertError;
use std::collections::BTreeMap;
use std::path::Path;

/// What a folder's weights are, from their headers.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The weights files.
    pub files: Vec<InspectedFile>,
    /// Every tensor, sorted by name.
    pub tensors: Vec<InspectedTensor>,
}

/// A weights file and its size.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectedFile {
    /// Its name in the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The free text pairs of its header, as `format: pt`.
    pub metadata: BTreeMap<String, String>,
}

/// A stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectedTensor {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: Dtype,
    /// Its size in the file.
    pub bytes: u64,
    /// Index of its file in [`Inspection::files`].
    pub file: usize,
}

impl Inspection {
    /// Number of stored values of all tensors.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.bytes / tensor.dtype.bytes()).sum()
    }
}

/// Names, shapes, types and sizes of everything in a folder's weights, read from the headers alone.
///
/// # Errors
/// As [`load`](super::load), but without regard to any model.
pub fn inspect(folder: &Path) -> Result<Inspection, BertError> {
    let files = weights_files(folder)?;
    let mut inspection = Inspection { files: Vec::new(), tensors: Vec::new() };
    for (index, file) in files.into_iter().enumerate() {
        let name = file.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        inspection.files.push(InspectedFile { name, bytes: file.bytes, metadata: file.header.metadata });
        for StoredTensor { name, dtype, shape, bytes, .. } in file.header.tensors {
            inspection.tensors.push(InspectedTensor { name, shape, dtype, bytes, file: index });
        }
    }
    inspection.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inspection)
}
