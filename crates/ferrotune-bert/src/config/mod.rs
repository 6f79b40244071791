//! config.json: family, sizes and constants of a model, each checked against a cap before anybody allocates by it.
//! It must not know tensors or weights files.

mod distances;
mod labels;
mod rotary;
#[cfg(test)]
mod tests;
mod write;

use crate::checkpoint::known_wrong_file;
use crate::error::{BertError, quoted};
use crate::family::{self, Block, Family, Positions, TokenTypes};
use crate::json::{parse_object, read_capped};
use crate::model::HeadKind;
use serde_json::{Map, Value};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

pub use distances::DistanceRows;
pub use rotary::LayerPositions;

/// The name of the file.
pub const CONFIG_FILE: &str = "config.json";
/// Largest config.json, in bytes; 100 000 labels need about 8 MB.
const FILE_CAP: u64 = 16 << 20;

/// Width of the embeddings, in families that have a projection after them.
const EMBEDDING_SIZE: &str = "embedding_size";
/// Rows of the token type embedding, in families that have one.
const TYPE_VOCAB_SIZE: &str = "type_vocab_size";

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

/// What a head on sequences reads of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The state of each sequence's first token.
    FirstToken,
    /// The mean of the states of all its tokens.
    Mean,
}

/// A model's configuration, checked: every size is at least 1 and at most its cap, heads divide the hidden size,
/// every real number is in its range.
///
/// The six sizes that define a model must be in the file; the rest has the defaults of
/// transformers' configuration class. Fields have the names of BERT's keys; other families' keys stand in [`Family::keys`].
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// The family that `model_type` names; BERT if it is absent.
    pub family: &'static Family,
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Width of the embeddings: the hidden size, in families without a projection.
    pub embedding_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    pub num_attention_heads: usize,
    /// Width between the two feed-forward layers.
    pub intermediate_size: usize,
    /// Rows of the position embedding, or where there is none the most tokens; see [`longest_sequence`](Self::longest_sequence).
    pub max_position_embeddings: usize,
    /// Rows of the token type embedding: 2 if the file does not say, 0 in families without one.
    pub type_vocab_size: usize,
    /// The feed-forward activation.
    pub hidden_act: Activation,
    /// Dropout after embeddings and after every sublayer, in [0, 1); 0.1 if the file does not say. ModernBERT has it between the two feed-forward layers,
    /// and 0 if the file does not say.
    pub hidden_dropout_prob: f32,
    /// Dropout after the embeddings, in [0, 1), in families where it is one of its own; `None` means [`hidden_dropout_prob`](Self::hidden_dropout_prob).
    pub embedding_dropout_prob: Option<f32>,
    /// Dropout on attention probabilities, in [0, 1); 0.1 if the file does not say. ModernBERT has it after the attention's projection too, and 0 if the
    /// file does not say.
    pub attention_probs_dropout_prob: f32,
    /// Dropout before the classifier, in [0, 1); `None` means [`hidden_dropout_prob`](Self::hidden_dropout_prob). DistilBERT has 0.2 if the file
    /// does not say, and does not ask it about tokens; ModernBERT has 0.
    pub classifier_dropout: Option<f32>,
    /// What a head on sequences reads; the first token if the file does not say.
    pub pooling: Pooling,
    /// What each layer knows of positions, in families without a table of them; else empty.
    pub layer_positions: Vec<LayerPositions>,
    /// The rows of the table of distances, in families that have one.
    pub distance_rows: Option<DistanceRows>,
    /// Added to the variance in layer norm, in (0, 0.1]; 1e-12 if the file does not say, in ModernBERT 1e-5.
    pub layer_norm_eps: f32,
    /// Standard deviation of new weights, in (0, 1]; 0.02 if the file does not say. In pre-norm layers some have [less](Self::residual_std).
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

impl EncoderConfig {
    /// Reads and checks `folder/config.json`.
    ///
    /// # Errors
    /// The file cannot be read; it is not what it should be; it describes a model that is not built here.
    pub fn from_folder(folder: &Path) -> Result<EncoderConfig, BertError> {
        let path = folder.join(CONFIG_FILE);
        let config = |problem: String| BertError::Config { path: path.clone(), problem };
        let bytes = read_capped(&path, FILE_CAP).map_err(|fault| match fault {
            Ok(size) => config(format!("has {size} bytes, the limit is {FILE_CAP}; this is not a configuration")),
            Err(error) => error,
        })?;
        parse(&bytes).map_err(config)
    }

    /// Checks a document as that of a file; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub fn from_json(bytes: &[u8], name: &str) -> Result<EncoderConfig, BertError> {
        parse(bytes).map_err(|problem| BertError::Config { path: name.into(), problem })
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The row of the position embedding that a first token reads.
    pub fn first_position(&self) -> usize {
        match self.family.positions {
            Positions::FromZero | Positions::Rotary | Positions::None => 0,
            Positions::AfterPadding => self.pad_token_id + 1,
        }
    }

    /// The most tokens of a sequence.
    pub fn longest_sequence(&self) -> usize {
        self.max_position_embeddings - self.first_position()
    }

    /// The dropout after the embeddings.
    pub fn embedding_dropout(&self) -> f32 {
        self.embedding_dropout_prob.unwrap_or(self.hidden_dropout_prob)
    }

    /// The standard deviation of new weights whose products are added to the residual stream of pre-norm layers: smaller the more layers add to it.
    pub fn residual_std(&self) -> f32 {
        self.initializer_range / (2.0 * self.num_hidden_layers as f32).sqrt()
    }

    /// Whether the dropout before a head of this kind may be another than that of the hidden states.
    pub fn has_head_dropout(&self, kind: HeadKind) -> bool {
        let keys = &self.family.keys;
        keys.classifier_dropout.is_some() && (kind == HeadKind::Sequence || keys.tokens_have_it_too)
    }

    /// The dropout before a head of this kind.
    pub fn head_dropout(&self, kind: HeadKind) -> f32 {
        let own = self.classifier_dropout.filter(|_| self.has_head_dropout(kind));
        own.unwrap_or(self.hidden_dropout_prob)
    }

    /// What the head of the folder scores, by the class that config.json names first; sequences if it names none.
    pub fn head_kind(&self) -> HeadKind {
        match first_class(&self.raw) {
            Some(class) if class.ends_with(HeadKind::Tokens.class_suffix()) => HeadKind::Tokens,
            _ => HeadKind::Sequence,
        }
    }

    /// The class of transformers that loads this model with a head of this kind.
    pub fn architecture(&self, kind: HeadKind) -> String {
        format!("{}{}", self.family.class, kind.class_suffix())
    }
}

impl FromStr for EncoderConfig {
    type Err = BertError;

    /// Parses and checks the text of a config.json.
    fn from_str(text: &str) -> Result<EncoderConfig, BertError> {
        parse(text.as_bytes()).map_err(|problem| BertError::Config { path: CONFIG_FILE.into(), problem })
    }
}

fn parse(bytes: &[u8]) -> Result<EncoderConfig, String> {
    let raw = parse_object(bytes).map_err(|problem| known_wrong_file(bytes).map_or(problem, String::from))?;
    let family = family_of(&raw)?;
    check_is_plain_encoder(&raw, family)?;
    check_class(&raw, family)?;
    check_block(&raw, family)?;
    let keys = &family.keys;
    let required = |key: &str, cap: usize| match whole(&raw, key, 1..=cap)? {
        Some(value) => Ok(value),
        None => Err(format!("has no {key}, which every {} configuration must give", family.model_type)),
    };
    let or = |key: &str, default: f32, range: Range| Ok::<f32, String>(real(&raw, key, range)?.unwrap_or(default));
    let vocab_size = required("vocab_size", VOCABULARY_CAP)?;
    let hidden_size = required(keys.hidden_size, HIDDEN_CAP)?;
    let mut config = EncoderConfig {
        family,
        vocab_size,
        embedding_size: match family.projection {
            Some(_) => whole(&raw, EMBEDDING_SIZE, 1..=HIDDEN_CAP)?.unwrap_or(128),
            None => hidden_size,
        },
        hidden_size,
        num_hidden_layers: required(keys.num_hidden_layers, LAYER_CAP)?,
        num_attention_heads: required(keys.num_attention_heads, HIDDEN_CAP)?,
        intermediate_size: required(keys.intermediate_size, INTERMEDIATE_CAP)?,
        max_position_embeddings: required("max_position_embeddings", POSITION_CAP)?,
        type_vocab_size: match family.token_types {
            TokenTypes::Absent => 0,
            _ => whole(&raw, TYPE_VOCAB_SIZE, 1..=TYPE_CAP)?.unwrap_or(2),
        },
        hidden_act: activation(&raw, keys.hidden_act)?,
        hidden_dropout_prob: or(keys.hidden_dropout_prob, keys.default_dropout, Range::Dropout)?,
        embedding_dropout_prob: match keys.embedding_dropout {
            Some(key) => Some(or(key, keys.default_dropout, Range::Dropout)?),
            None => None,
        },
        attention_probs_dropout_prob: or(keys.attention_probs_dropout_prob, keys.default_dropout, Range::Dropout)?,
        classifier_dropout: match keys.classifier_dropout {
            Some(key) => real(&raw, key, Range::Dropout)?.or(keys.default_classifier_dropout),
            None => None,
        },
        layer_norm_eps: match keys.layer_norm_eps {
            Some(key) => or(key, keys.default_layer_norm_eps, Range::PositiveUpTo(0.1))?,
            None => keys.default_layer_norm_eps,
        },
        pooling: pooling(&raw, family)?,
        layer_positions: Vec::new(),
        distance_rows: None,
        initializer_range: or("initializer_range", 0.02, Range::PositiveUpTo(1.0))?,
        // A default that is outside of the vocabulary is no token of this model.
        pad_token_id: whole(&raw, "pad_token_id", 0..=vocab_size - 1)?
            .unwrap_or(Some(keys.default_pad_token_id).filter(|&pad| pad < vocab_size).unwrap_or(0)),
        id2label: labels::read(&raw)?,
        problem_type: labels::problem_type(&raw)?,
        raw,
    };
    if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
        return Err(format!(
            "{} {} is not a multiple of {} {}",
            keys.hidden_size, config.hidden_size, keys.num_attention_heads, config.num_attention_heads
        ));
    }
    if config.max_position_embeddings <= config.first_position() {
        return Err(format!(
            "max_position_embeddings {} leaves no position, because {} counts from {}",
            config.max_position_embeddings,
            family.model_type,
            config.first_position()
        ));
    }
    if config.head_dim() > HEAD_DIM_CAP {
        return Err(format!(
            "{} {} over {} {} makes heads of {}, at most {HEAD_DIM_CAP} is supported",
            keys.hidden_size,
            config.hidden_size,
            keys.num_attention_heads,
            config.num_attention_heads,
            config.head_dim()
        ));
    }
    if family.positions == Positions::Rotary {
        config.layer_positions = rotary::read(&config)?;
    }
    config.distance_rows = family.relative.map(|relative| distances::read(&config, relative)).transpose()?;
    Ok(config)
}

/// What a head on sequences reads, in families that can have it in more than one way.
fn pooling(raw: &Map<String, Value>, family: &Family) -> Result<Pooling, String> {
    match raw.get("classifier_pooling") {
        _ if family.block == Block::PostNorm => Ok(Pooling::FirstToken),
        None => Ok(Pooling::FirstToken),
        Some(Value::String(name)) if name == "cls" => Ok(Pooling::FirstToken),
        Some(Value::String(name)) if name == "mean" => Ok(Pooling::Mean),
        Some(other) => {
            Err(format!("classifier_pooling {} is not supported, only \"cls\" and \"mean\" are", brief(other)))
        }
    }
}

/// The family of the document.
fn family_of(raw: &Map<String, Value>) -> Result<&'static Family, String> {
    match raw.get("model_type") {
        Some(Value::String(model)) => Family::of(model)
            .ok_or_else(|| format!("model_type {} is not supported; known are {}", quoted(model), family::known())),
        Some(other) => Err(format!("model_type must be a string, found {}", brief(other))),
        // Early BERT configurations do not say; their tensors are checked name by name anyway.
        None => check_architectures(raw).map(|()| family::UNNAMED),
    }
}

/// Refuses, by name, models that would load or run wrongly as a plain encoder.
fn check_is_plain_encoder(raw: &Map<String, Value>, family: &Family) -> Result<(), String> {
    match raw.get("position_embedding_type") {
        None | Some(Value::Null) => {}
        // Left over from the code that it was trained with; transformers does not read it there.
        Some(_) if family.positions == Positions::Rotary => {}
        Some(Value::String(kind)) if kind == "absolute" => {}
        Some(other) => {
            return Err(format!("position_embedding_type {} is not supported, only \"absolute\" is", brief(other)));
        }
    }
    if raw.get("sinusoidal_pos_embds").is_some_and(|value| *value == Value::Bool(true)) {
        return Err(
            "sinusoidal_pos_embds is true: fixed positions are not supported, only trained ones are".to_string()
        );
    }
    for (key, meaning) in [("is_decoder", "a decoder"), ("add_cross_attention", "a model with cross attention")] {
        match raw.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => {
                return Err(format!("{key} is true: {meaning} is not supported, only encoders are"));
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

/// Refuses biases where the family has none, and another activation in its heads.
fn check_block(raw: &Map<String, Value>, family: &Family) -> Result<(), String> {
    if family.block == Block::PostNorm {
        return Ok(());
    }
    for key in ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"] {
        match raw.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(other) => {
                return Err(format!(
                    "{key} is {}, which is not supported: layers of {} have no biases here",
                    brief(other),
                    family.model_type
                ));
            }
        }
    }
    activation(raw, "classifier_activation").map(|_| ())
}

/// Refuses the classes that the family refuses.
fn check_class(raw: &Map<String, Value>, family: &Family) -> Result<(), String> {
    match family.refused.iter().find(|(class, _)| first_class(raw) == Some(class)) {
        Some((class, why)) => Err(format!("architecture {class} {why}")),
        None => Ok(()),
    }
}

/// The class of transformers that the document names first.
fn first_class(raw: &Map<String, Value>) -> Option<&str> {
    raw.get("architectures")?.get(0)?.as_str()
}

fn check_architectures(raw: &Map<String, Value>) -> Result<(), String> {
    let names = raw.get("architectures").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match names.iter().find(|name| !name.as_str().is_some_and(|name| name.starts_with("Bert"))) {
        Some(other) => Err(format!(
            "has no model_type, and architecture {} is not BERT; add its model_type, known are {}",
            brief(other),
            family::known()
        )),
        None => Ok(()),
    }
}

fn activation(raw: &Map<String, Value>, key: &str) -> Result<Activation, String> {
    match raw.get(key) {
        None => Ok(Activation::Gelu),
        Some(Value::String(name)) if name == "gelu" => Ok(Activation::Gelu),
        Some(other) => Err(format!("{key} {} is not supported, only \"gelu\" (exact) is", brief(other))),
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
