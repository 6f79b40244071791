//! The layout before PyTorch 1.6: five pickles (a magic number, the version of the protocol, sizes of C's types, the object, the
//! keys of its storages), then each storage, a count of elements and the elements. It must not know what the object says beyond
//! its storages.

use super::super::stored::{HEADER_CAP, StoredTensor};
use super::objects::Value;
use super::pickle::{Pickled, load};
use super::{CONVERT, DAMAGED, Fault, tensors};
use crate::error::quoted;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;
/// Bytes of the count before a storage.
const COUNT: u64 = 8;

/// The tensors of the file, whose data is not read.
pub(super) fn tensors(file: &mut File, file_bytes: u64) -> Result<Vec<StoredTensor>, Fault> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    Read::take(&mut *file, HEADER_CAP).read_to_end(&mut head)?;
    let mut at = 0;
    let mut next = || -> Result<Pickled, String> {
        let pickled = load(&head[at..])?;
        at += pickled.length;
        Ok(pickled)
    };
    if !matches!(next()?.root, Value::Int(MAGIC)) {
        return Err(Fault::Format(format!("is a Python pickle, but none of PyTorch's weights; {CONVERT}")));
    }
    if !matches!(next()?.root, Value::Int(PROTOCOL)) {
        return Err(Fault::Format(format!("is of another version of PyTorch's protocol than {PROTOCOL}; {CONVERT}")));
    }
    if !is_little_endian(&next()?) {
        return Err(Fault::Format(format!("has its numbers in another order than little-endian; {CONVERT}")));
    }
    let (object, keys) = (next()?, next()?);
    let begins = places(file, at as u64, file_bytes, &object, &keys)?;
    Ok(tensors::stored(&object, &begins)?)
}

fn is_little_endian(system: &Pickled) -> bool {
    let Value::Dict(entries) = system.root else { return false };
    let says =
        |(key, value): &(Value, Value)| matches!((key, value), (Value::Text("little_endian"), Value::Bool(true)));
    system.objects.dicts[entries].iter().any(says)
}

/// Where the data of each storage of `object` begins. They lie one behind the other from `at` to the end of the file, in the
/// order of `keys`.
fn places(file: &mut File, mut at: u64, file_bytes: u64, object: &Pickled, keys: &Pickled) -> Result<Vec<u64>, Fault> {
    let bad = |problem: String| Fault::Format(format!("{problem}; {DAMAGED}"));
    let Value::List(list) = keys.root else { return Err(bad("does not list its storages".to_string())) };
    let storages = &object.objects.storages;
    let mut begins = vec![None; storages.len()];
    for &key in &keys.objects.lists[list] {
        let Value::Text(key) = key else { return Err(bad("has a storage without a key".to_string())) };
        let Some(index) = object.objects.storage(key) else {
            return Err(bad(format!("has a storage {} that no tensor is of", quoted(key))));
        };
        let truncated = || bad(format!("ends inside or before storage {}", quoted(key)));
        let begin = at.checked_add(COUNT).filter(|&begin| begin <= file_bytes).ok_or_else(truncated)?;
        let mut count = [0; COUNT as usize];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut count)?;
        let count = u64::from_le_bytes(count);
        if count != storages[index].elements {
            let elements = storages[index].elements;
            return Err(bad(format!("storage {} has {count} elements, expected {elements}", quoted(key))));
        }
        at = begin.checked_add(storages[index].bytes).filter(|&end| end <= file_bytes).ok_or_else(truncated)?;
        if begins[index].replace(begin).is_some() {
            return Err(bad(format!("has the storage {} twice", quoted(key))));
        }
    }
    if let Some(absent) = begins.iter().position(|begin| begin.is_none()) {
        return Err(bad(format!("lacks the storage {}", quoted(storages[absent].key))));
    }
    if at != file_bytes {
        return Err(bad(format!("has bytes after its last storage: that ends at {at}, the file has {file_bytes}")));
    }
    Ok(begins.into_iter().flatten().collect())
}
