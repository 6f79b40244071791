//! From what a pickle built to tensors with their places in the file, every number checked. It must not know instructions or
//! archives.

use super::super::stored::{DIMENSION_CAP, RANK_CAP, StoredTensor, check_name};
use super::super::strides::{is_row_major, reach};
use super::objects::{Objects, Tensor, Value, unsigned};
use super::pickle::Pickled;
use super::{CONVERT, DAMAGED};
use crate::error::quoted;
use std::collections::HashSet;

/// The tensors of a state dictionary; `begins` has the position in the file of each storage's first byte, and the file goes on
/// for as many bytes as the storage has.
pub(super) fn stored(pickled: &Pickled, begins: &[u64]) -> Result<Vec<StoredTensor>, String> {
    let objects = &pickled.objects;
    let Value::Dict(root) = pickled.root else {
        return Err(format!("holds {} and no dictionary of tensors; {CONVERT}", pickled.root.kind()));
    };
    let mut seen = HashSet::new();
    let (mut tensors, mut total) = (Vec::new(), 0u64);
    for &(key, value) in &objects.dicts[root] {
        let Value::Text(name) = key else {
            return Err(format!("has an entry under {} instead of a tensor's name; {CONVERT}", key.kind()));
        };
        let Value::Tensor(tensor) = value else { return Err(no_tensor(name, value)) };
        let at = |problem: String| format!("tensor {}: {problem}", quoted(name));
        check_name(name).map_err(|problem| at(format!("{problem}; {CONVERT}")))?;
        if !seen.insert(name) {
            return Err(at(format!("occurs twice; {DAMAGED}")));
        }
        let tensor = placed(name, &objects.tensors[tensor], objects, begins).map_err(at)?;
        // Tensors may share a storage, so their sum is not bounded by the file.
        total = total.checked_add(tensor.bytes).ok_or("its tensors are larger than any file together")?;
        tensors.push(tensor);
    }
    Ok(tensors)
}

/// What an entry is that should be a tensor, and what to do.
fn no_tensor(name: &str, value: Value) -> String {
    let name = quoted(name);
    match value {
        Value::Dict(_) => format!(
            "has a dictionary of its own as {name}, as checkpoints of training do; save its tensors alone with PyTorch, \
             torch.save(torch.load(file)[{name}], file)"
        ),
        other => format!("has {} as {name}, where only tensors are read; {CONVERT}", other.kind()),
    }
}

/// One tensor at its place.
fn placed(name: &str, tensor: &Tensor, objects: &Objects, begins: &[u64]) -> Result<StoredTensor, String> {
    let shape = numbers(&objects.lists[tensor.shape], "dimension")?;
    let mut strides = numbers(&objects.lists[tensor.strides], "stride")?;
    if shape.len() != strides.len() {
        return Err(format!("has {} dimensions and {} strides; {DAMAGED}", shape.len(), strides.len()));
    }
    if let Some(size) = shape.iter().find(|&&size| size > DIMENSION_CAP) {
        return Err(format!("has a dimension of {size}, at most {DIMENSION_CAP} is allowed; {DAMAGED}"));
    }
    // That of a dimension of 1 leads nowhere, and may be anything.
    strides.iter_mut().zip(&shape).filter(|(_, size)| **size == 1).for_each(|(stride, _)| *stride = 0);
    let (storage, offset) = (objects.storages[tensor.storage], unsigned(tensor.offset));
    let offset = offset.ok_or_else(|| format!("has no offset; {DAMAGED}"))?;
    let elements = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    let end = match elements {
        Some(0) => Some(offset),
        _ => reach(&shape, &strides).and_then(|reach| reach.checked_add(offset)),
    };
    if end.is_none_or(|end| end > storage.elements) {
        return Err(format!(
            "reaches beyond the {} elements of its storage: offset {offset}, shape {shape:?}, strides {strides:?}; {DAMAGED}",
            storage.elements
        ));
    }
    // Such a view could be of any size, whatever the file's.
    let Some(elements) = elements.filter(|&elements| elements <= storage.elements) else {
        return Err(format!(
            "repeats the {} elements of its storage in a shape {shape:?} (an expanded view); save it as .contiguous()",
            storage.elements
        ));
    };
    let row_major = elements == 0 || is_row_major(&shape, &strides);
    let width = storage.dtype.bytes();
    Ok(StoredTensor {
        name: name.to_string(),
        dtype: storage.dtype,
        shape: addressable(&shape)?,
        strides: if row_major { None } else { Some(addressable(&strides)?) },
        begin: begins[tensor.storage] + offset * width,
        bytes: elements * width,
    })
}

/// The numbers of a tuple, no more than a tensor may have dimensions.
fn numbers(items: &[Value], what: &str) -> Result<Vec<u64>, String> {
    if items.len() > RANK_CAP {
        return Err(format!("has more than {RANK_CAP} {what}s, which are the most that are allowed; {DAMAGED}"));
    }
    let number = |&item| unsigned(item).ok_or_else(|| format!("has a {what} that is no size; {DAMAGED}"));
    items.iter().map(number).collect()
}

/// The same as numbers that index memory.
fn addressable(numbers: &[u64]) -> Result<Vec<usize>, String> {
    let converted: Result<Vec<usize>, _> = numbers.iter().map(|&number| usize::try_from(number)).collect();
    converted.map_err(|_| "has a dimension or stride that this machine cannot address".to_string())
}
