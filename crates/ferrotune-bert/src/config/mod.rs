//! config.json: the sizes and constants of a BERT model, each checked against a cap before anybody allocates by it.
//! It must not know tensors or weights files.

mod labels;
#[cfg(test)]
mod tests;
mod write;

use crate::checkpoint::known_wrong_file;
use crate::error::{BertError, quoted};
use crate::json::{parse_object, read_capped};
use serde_json::{Map, Value};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

/// The name of the file.
pub const CONFIG_FILE: &str = "config.json";
/// Largest config.json, in bytes; 100 000 labels need about 8 MB.
const FILE_CAP: u64 = 16 << 20;

/// Largest hidden size.
pub const HIDDEN_CAP: usize = 16_384;
/// Most encoder layers.
pub const LAYER_CAP: usize = 256;
/// Largest size of one attention head.
pub const HEAD_DIM_CAP: usize = 256;
/// Most rows of the word embedding.
pub const VOCABULARY_CAP: usize = 4_000_000;
/// Most positions.
pub const POSITION_CAP: usize = 131_072;
/// Largest feed-forward size.
pub const INTERMEDIATE_CAP: usize = 65_536;
/// Most token types.
pub const TYPE_CAP: usize = 1024;
/// Most labels of a classifier.
pub const LABEL_CAP: usize = 100_000;

/// The activation between the two feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x) with the exact normal distribution function: Hugging Face's `gelu`.
    Gelu,
}

impl fmt::Display for Activation {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Activation::Gelu => formatter.write_str("gelu"),
        }
    }
}

/// A BERT model's configuration, checked: every size is at least 1 and at most its cap, heads divide the hidden size,
/// every real number is in its range.
///
/// The six sizes that define a model must be in the file; the rest has the defaults of transformers' `BertConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct BertConfig {
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    pub num_attention_heads: usize,
    /// Width between the two feed-forward layers.
    pub intermediate_size: usize,
    /// Rows of the position embedding, the longest sequence in tokens.
    pub max_position_embeddings: usize,
    /// Rows of the token type embedding; 2 if the file does not say.
    pub type_vocab_size: usize,
    /// The feed-forward activation.
    pub hidden_act: Activation,
    /// Dropout after embeddings and after every sublayer, in [0, 1); 0.1 if the file does not say.
    pub hidden_dropout_prob: f32,
    /// Dropout on attention probabilities, in [0, 1); 0.1 if the file does not say.
    pub attention_probs_dropout_prob: f32,
    /// Dropout before the classifier, in [0, 1); `None` means [`hidden_dropout_prob`](Self::hidden_dropout_prob).
    pub classifier_dropout: Option<f32>,
    /// Added to the variance in layer norm, in (0, 0.1]; 1e-12 if the file does not say.
    pub layer_norm_eps: f32,
    /// Standard deviation of new weights, in (0, 1]; 0.02 if the file does not say.
    pub initializer_range: f32,
    /// The padding token, below the vocabulary size; 0 if the file does not say.
    pub pad_token_id: usize,
    /// The labels of the classifier in the order of their ids, if the file names them.
    pub id2label: Option<Vec<String>>,
    /// What the classifier is for, such as `regression`, if the file says so.
    pub problem_type: Option<String>,
    /// The document as it was read, so that saving keeps fields that are not known here.
    pub raw: Map<String, Value>,
}

impl BertConfig {
    /// Reads and checks `folder/config.json`.
    ///
    /// # Errors
    /// The file cannot be read; it is not what it should be; it describes a model that is not built here.
    pub fn from_folder(folder: &Path) -> Result<BertConfig, BertError> {
        let path = folder.join(CONFIG_FILE);
        let config = |problem: String| BertError::Config { path: path.clone(), problem };
        let bytes = read_capped(&path, FILE_CAP).map_err(|fault| match fault {
            Ok(size) => config(format!("has {size} bytes, the limit is {FILE_CAP}; this is not a configuration")),
            Err(error) => error,
        })?;
        parse(&bytes).map_err(config)
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

impl FromStr for BertConfig {
    type Err = BertError;

    /// Parses and checks the text of a config.json.
    fn from_str(text: &str) -> Result<BertConfig, BertError> {
        parse(text.as_bytes()).map_err(|problem| BertError::Config { path: CONFIG_FILE.into(), problem })
    }
}

fn parse(bytes: &[u8]) -> Result<BertConfig, String> {
    let raw = parse_object(bytes).map_err(|problem| known_wrong_file(bytes).map_or(problem, String::from))?;
    check_is_plain_bert(&raw)?;
    let required = |key: &str, cap: usize| match whole(&raw, key, 1..=cap)? {
        Some(value) => Ok(value),
        None => Err(format!("has no {key}, which every BERT configuration must give")),
    };
    let or = |key: &str, default: f32, range: Range| Ok::<f32, String>(real(&raw, key, range)?.unwrap_or(default));
    let vocab_size = required("vocab_size", VOCABULARY_CAP)?;
    let config = BertConfig {
        vocab_size,
        hidden_size: required("hidden_size", HIDDEN_CAP)?,
        num_hidden_layers: required("num_hidden_layers", LAYER_CAP)?,
        num_attention_heads: required("num_attention_heads", HIDDEN_CAP)?,
        intermediate_size: required("intermediate_size", INTERMEDIATE_CAP)?,
        max_position_embeddings: required("max_position_embeddings", POSITION_CAP)?,
        type_vocab_size: whole(&raw, "type_vocab_size", 1..=TYPE_CAP)?.unwrap_or(2),
        hidden_act: activation(&raw)?,
        hidden_dropout_prob: or("hidden_dropout_prob", 0.1, Range::Dropout)?,
        attention_probs_dropout_prob: or("attention_probs_dropout_prob", 0.1, Range::Dropout)?,
        classifier_dropout: real(&raw, "classifier_dropout", Range::Dropout)?,
        layer_norm_eps: or("layer_norm_eps", 1e-12, Range::PositiveUpTo(0.1))?,
        initializer_range: or("initializer_range", 0.02, Range::PositiveUpTo(1.0))?,
        pad_token_id: whole(&raw, "pad_token_id", 0..=vocab_size - 1)?.unwrap_or(0),
        id2label: labels::read(&raw)?,
        problem_type: labels::problem_type(&raw)?,
        raw,
    };
    if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
        return Err(format!(
            "hidden_size {} is not a multiple of num_attention_heads {}",
            config.hidden_size, config.num_attention_heads
        ));
    }
    if config.head_dim() > HEAD_DIM_CAP {
        return Err(format!(
            "hidden_size {} over num_attention_heads {} makes heads of {}, at most {HEAD_DIM_CAP} is supported",
            config.hidden_size,
            config.num_attention_heads,
            config.head_dim()
        ));
    }
    Ok(config)
}

/// Refuses, by name, models that would load or run wrongly as a plain BERT encoder.
fn check_is_plain_bert(raw: &Map<String, Value>) -> Result<(), String> {
    match raw.get("model_type") {
        Some(Value::String(model)) if model == "bert" => {}
        Some(Value::String(model)) => {
            return Err(format!("model_type {} is not supported, only \"bert\" is", quoted(model)));
        }
        Some(other) => return Err(format!("model_type must be a string, found {}", brief(other))),
        // Early BERT configurations do not say; their tensors are checked name by name anyway.
        None => check_architectures(raw)?,
    }
    match raw.get("position_embedding_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind == "absolute" => {}
        Some(other) => {
            return Err(format!("position_embedding_type {} is not supported, only \"absolute\" is", brief(other)));
        }
    }
    for (key, meaning) in [("is_decoder", "a decoder"), ("add_cross_attention", "a model with cross attention")] {
        match raw.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => {
                return Err(format!("{key} is true: {meaning} is not supported, only the BERT encoder is"));
            }
            Some(other) => return Err(format!("{key} must be true or false, found {}", brief(other))),
        }
    }
    if raw.get("pruned_heads").and_then(Value::as_object).is_some_and(|heads| !heads.is_empty()) {
        return Err("pruned_heads is not empty: models with pruned heads are not supported".to_string());
    }
    if raw.get("quantization_config").is_some_and(|value| !value.is_null()) {
        return Err(
            "has a quantization_config: quantised weights are not supported, use the original model".to_string()
        );
    }
    Ok(())
}

fn check_architectures(raw: &Map<String, Value>) -> Result<(), String> {
    let names = raw.get("architectures").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match names.iter().find(|name| !name.as_str().is_some_and(|name| name.starts_with("Bert"))) {
        Some(other) => Err(format!("has no model_type and architecture {}, only BERT is supported", brief(other))),
        None => Ok(()),
    }
}

fn activation(raw: &Map<String, Value>) -> Result<Activation, String> {
    match raw.get("hidden_act") {
        None => Ok(Activation::Gelu),
        Some(Value::String(name)) if name == "gelu" => Ok(Activation::Gelu),
        Some(other) => Err(format!("hidden_act {} is not supported, only \"gelu\" (exact) is", brief(other))),
    }
}

/// A whole number of the document, in range; `None` when it is absent or null.
fn whole(raw: &Map<String, Value>, key: &str, range: RangeInclusive<usize>) -> Result<Option<usize>, String> {
    let Some(value) = raw.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|size| range.contains(size));
    number.map(Some).ok_or_else(|| {
        format!("{key} must be a whole number from {} to {}, found {}", range.start(), range.end(), brief(value))
    })
}

/// Where a real number of the configuration may lie.
#[derive(Clone, Copy)]
enum Range {
    /// [0, 1)
    Dropout,
    /// (0, limit], and not so small that it is zero or subnormal as f32.
    PositiveUpTo(f32),
}

/// A real number of the document as f32, in range; `None` when it is absent or null.
fn real(raw: &Map<String, Value>, key: &str, range: Range) -> Result<Option<f32>, String> {
    let Some(value) = raw.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_f64().map(|number| number as f32);
    let (number, words) = match range {
        Range::Dropout => (number.filter(|number| (0.0..1.0).contains(number)), "at least 0 and below 1".to_string()),
        Range::PositiveUpTo(limit) => (
            number.filter(|&number| number.is_normal() && number > 0.0 && number <= limit),
            format!("above 0 and at most {limit}"),
        ),
    };
    number.map(Some).ok_or_else(|| format!("{key} must be a number {words}, found {}", brief(value)))
}

/// A JSON value in a message, cut short.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_string(),
        Value::Object(_) => "an object".to_string(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}
