//! Which files hold a folder's weights: `model.safetensors`, or the shards that `model.safetensors.index.json` names; where
//! there are none, `pytorch_model.bin` and its shards. It must not know what the tensors are for.

use super::read::{Format, WeightsFile};
use super::sniff::known_wrong_file;
use crate::error::{BertError, quoted};
use crate::json::{parse_object, read_capped};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The weights of an unsharded model.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// The list of shards of a sharded one.
const INDEX: &str = "model.safetensors.index.json";
/// Both as PyTorch wrote them.
const PYTORCH_WEIGHTS: &str = "pytorch_model.bin";
const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";
const INDEX_CAP: u64 = 16 << 20;
const SHARD_CAP: usize = 1000;
/// Weights in formats that are not read.
const OTHER_FORMATS: [&str; 4] = ["model.pt", "tf_model.h5", "flax_model.msgpack", "model.ckpt.index"];

/// Opens every weights file of the folder and checks its header. As in transformers, `model.safetensors` goes before an
/// index, and both before what PyTorch wrote. No tensor occurs in two files.
pub(crate) fn weights_files(folder: &Path) -> Result<Vec<WeightsFile>, BertError> {
    let bad = |problem: String| BertError::Folder { folder: folder.to_path_buf(), problem };
    let metadata = std::fs::metadata(folder).map_err(|cause| BertError::io("open", folder, cause))?;
    if !metadata.is_dir() {
        return Err(bad("is not a folder; give the folder that holds config.json and model.safetensors".to_string()));
    }
    // `symlink_metadata`, so that a dangling link is reported as the file it fails to be and not as absent.
    let has = |name: &str| folder.join(name).symlink_metadata().is_ok();
    for (weights, index, format) in
        [(WEIGHTS, INDEX, Format::Safetensors), (PYTORCH_WEIGHTS, PYTORCH_INDEX, Format::PyTorch)]
    {
        if has(weights) {
            return Ok(vec![WeightsFile::open(&folder.join(weights), format)?]);
        }
        if has(index) {
            return shards(folder, index, format);
        }
    }
    Err(bad(match OTHER_FORMATS.iter().find(|name| has(name)) {
        Some(other) => format!(
            "has its weights only as {other}, which is not read; convert them with transformers, \
             save_pretrained(folder, safe_serialization=True)"
        ),
        None => format!(
            "has neither {WEIGHTS} nor {PYTORCH_WEIGHTS}, nor the index of either; give a Hugging Face folder of an encoder"
        ),
    }))
}

/// The shards that the folder's index names, in the order of their names.
fn shards(folder: &Path, index: &str, format: Format) -> Result<Vec<WeightsFile>, BertError> {
    let path = folder.join(index);
    let bad = |problem: String| BertError::Format { file: path.clone(), problem };
    let bytes = read_capped(&path, INDEX_CAP).map_err(|fault| match fault {
        Ok(size) => bad(format!("has {size} bytes, the limit is {INDEX_CAP}; this is not an index")),
        Err(error) => error,
    })?;
    let document =
        parse_object(&bytes).map_err(|problem| bad(known_wrong_file(&bytes).map_or(problem, String::from)))?;
    let Some(Value::Object(weight_map)) = document.get("weight_map") else {
        return Err(bad("has no object weight_map, which says which shard holds which tensor".to_string()));
    };
    let mut expected: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (tensor, shard) in weight_map {
        let Value::String(shard) = shard else {
            return Err(bad(format!("tensor {} is mapped to something that is not a file name", quoted(tensor))));
        };
        check_shard_name(shard, format).map_err(|problem| bad(format!("tensor {}: {problem}", quoted(tensor))))?;
        expected.entry(shard).or_default().insert(tensor);
    }
    if expected.is_empty() || expected.len() > SHARD_CAP {
        return Err(bad(format!("names {} shards, 1 to {SHARD_CAP} are allowed", expected.len())));
    }
    let mut files = Vec::with_capacity(expected.len());
    for (shard, tensors) in expected {
        let shard_path = folder.join(shard);
        if shard_path.symlink_metadata().is_err() {
            return Err(bad(format!("names the shard {}, which is not in the folder; download it", quoted(shard))));
        }
        let file = WeightsFile::open(&shard_path, format)?;
        let stored: BTreeSet<&str> = file.header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        if let Some(tensor) = tensors.difference(&stored).next() {
            return Err(bad(format!(
                "says that {} holds tensor {}, which it does not; the shards are of different downloads, fetch them \
                 again",
                quoted(shard),
                quoted(tensor)
            )));
        }
        if let Some(tensor) = stored.difference(&tensors).next() {
            return Err(bad(format!(
                "does not say that {} holds tensor {}; the shards are of different downloads, fetch them again",
                quoted(shard),
                quoted(tensor)
            )));
        }
        files.push(file);
    }
    Ok(files)
}

/// A shard is a plain file name in the folder: no separator, no `..`, not hidden. Links are followed, because the cache
/// of the Hugging Face hub is made of links, and what they lead to is only ever parsed as weights.
fn check_shard_name(name: &str, format: Format) -> Result<(), String> {
    let extension = match format {
        Format::Safetensors => ".safetensors",
        Format::PyTorch => ".bin",
    };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !plain || name.starts_with('.') || name.len() > 255 || !name.ends_with(extension) {
        return Err(format!("{} is not the plain name of a {extension} file in this folder", quoted(name)));
    }
    Ok(())
}
