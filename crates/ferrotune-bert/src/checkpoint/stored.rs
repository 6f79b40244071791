//! What a weights file holds, in whichever format: element types, places and shapes of tensors, what their names may be, the
//! limits of all this. It must not know any format, nor what the tensors are for.

use std::collections::BTreeMap;

/// Longest header (of safetensors: JSON, of PyTorch: a pickle) that is read, in bytes. BERT-large needs about 50 kB.
pub const HEADER_CAP: u64 = 16 << 20;
/// Most dimensions a tensor may have.
pub const RANK_CAP: usize = 8;
/// Largest single dimension.
pub const DIMENSION_CAP: u64 = 1 << 31;

/// Element type of a stored tensor. Only `F32`, `F16` and `BF16` can be read as weights; the others may occur as
/// buffers that are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The names are those of the format.
pub enum Dtype {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    BF16,
    F32,
    F64,
}

impl Dtype {
    const ALL: [(Dtype, &'static str, u64); 13] = [
        (Dtype::Bool, "BOOL", 1),
        (Dtype::U8, "U8", 1),
        (Dtype::I8, "I8", 1),
        (Dtype::U16, "U16", 2),
        (Dtype::I16, "I16", 2),
        (Dtype::U32, "U32", 4),
        (Dtype::I32, "I32", 4),
        (Dtype::U64, "U64", 8),
        (Dtype::I64, "I64", 8),
        (Dtype::F16, "F16", 2),
        (Dtype::BF16, "BF16", 2),
        (Dtype::F32, "F32", 4),
        (Dtype::F64, "F64", 8),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The name in the file.
    pub fn name(self) -> &'static str {
        Dtype::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Bytes an element.
    pub fn bytes(self) -> u64 {
        Dtype::ALL.iter().find(|row| row.0 == self).map_or(0, |row| row.2)
    }

    /// Whether tensors of this type can be loaded as weights.
    pub fn is_weight(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }
}

/// One tensor as the file describes it. Its length in bytes is `shape.product() * dtype.bytes()`, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredTensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Elements from one index to the next in each dimension, where the values do not lie row-major one after another.
    /// What they reach from `begin` on lies in the file, checked.
    pub strides: Option<Vec<usize>>,
    /// Position in the file of its first byte.
    pub begin: u64,
    /// Length in bytes.
    pub bytes: u64,
}

impl StoredTensor {
    pub(crate) fn elements(&self) -> u64 {
        self.bytes / self.dtype.bytes()
    }

    /// Bytes of the file from its first to its last element: more than it has where it is a part of a larger one.
    pub(crate) fn span(&self) -> u64 {
        match &self.strides {
            None => self.bytes,
            Some(strides) => {
                let steps = self.shape.iter().zip(strides).map(|(&size, &stride)| (size as u64 - 1) * stride as u64);
                (1 + steps.sum::<u64>()) * self.dtype.bytes()
            }
        }
    }
}

/// What a weights file holds, every number checked: tensors in file order.
#[derive(Debug)]
pub(crate) struct Header {
    pub tensors: Vec<StoredTensor>,
    pub metadata: BTreeMap<String, String>,
}

/// Names may be printed, split at dots and used as keys; nothing in them may mean anything to a terminal or a file system.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 512 {
        return Err(format!("the name has {} bytes, 1 to 512 are allowed", name.len()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if !name.bytes().all(allowed) || name.contains("..") {
        return Err("the name has characters other than letters, digits, _ . - / or has two dots in a row".to_string());
    }
    Ok(())
}
