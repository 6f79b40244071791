//! Tests of the checkpoint files, and the small model folders that they share.

mod loading;
mod malformed;
mod misfits;
mod pickled;
mod property;
mod pytorch;
mod saving;

use super::{LoadReport, TensorSpec, load};
use crate::error::BertError;
use half::{bf16, f16};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

pub(super) const CONFIG: &str = r#"{"model_type": "bert", "vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 16}"#;

/// A safetensors file of this header and this data.
pub(super) fn framed(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A tensor to store: name, type, shape, values.
pub(super) struct Sample {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A tensor whose values are exact in every stored type and differ from tensor to tensor.
pub(super) fn sample(name: &str, dtype: &'static str, shape: &[usize]) -> Sample {
    let seed = name.bytes().map(usize::from).sum::<usize>();
    let count: usize = shape.iter().product();
    let values = (0..count).map(|at| ((seed + 7 * at) % 64) as f32 / 16.0 - 2.0).collect();
    Sample { name: name.to_string(), dtype, shape: shape.to_vec(), values }
}

/// The bytes of a well-formed file, written here independently of the writer under test.
pub(super) fn stored(samples: &[Sample]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for sample in samples {
        let begin = data.len();
        for &value in &sample.values {
            match sample.dtype {
                "F32" => data.extend(value.to_le_bytes()),
                "F16" => data.extend(f16::from_f32(value).to_le_bytes()),
                "BF16" => data.extend(bf16::from_f32(value).to_le_bytes()),
                "I64" => data.extend((value as i64).to_le_bytes()),
                other => panic!("no samples of {other}"),
            }
        }
        let entry = json!({"dtype": sample.dtype, "shape": sample.shape, "data_offsets": [begin, data.len()]});
        header.insert(sample.name.clone(), entry);
    }
    framed(&Value::Object(header).to_string(), &data)
}

pub(super) fn specs(tensors: &[(&str, &[usize])]) -> Vec<TensorSpec> {
    tensors.iter().map(|(name, shape)| TensorSpec { name: name.to_string(), shape: shape.to_vec() }).collect()
}

/// Loaded tensors in the order in which they were wanted; `None` where nothing was sent.
pub(super) type Values = Vec<Option<Vec<f32>>>;

/// Loads into a list.
pub(super) fn load_all(
    folder: &Path,
    wanted: &[TensorSpec],
    optional: &dyn Fn(&str) -> bool,
) -> Result<(LoadReport, Values), BertError> {
    let mut values = vec![None; wanted.len()];
    let report = load(folder, wanted, optional, &mut |index, tensor| {
        assert!(values[index].replace(tensor).is_none(), "tensor {index} was sent twice");
    })?;
    Ok((report, values))
}

pub(super) fn nothing_optional(_: &str) -> bool {
    false
}

/// The error's text with the temporary folder written as DIR.
pub(super) fn told(error: &BertError, folder: &Path) -> String {
    let text = error.to_string().replace(&folder.display().to_string(), "DIR");
    assert!(!text.contains('\n') && text.len() < 1200, "not one short line: {text}");
    text
}

pub(super) fn write_files(folder: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}
