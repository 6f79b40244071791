//! What the layers of a family with rotary positions know of them: how fast queries and keys turn, and how far a query sees. Configurations say so
//! in two ways, that of transformers 5 (`layer_types`, `rope_parameters`) and the older one (`global_attn_every_n_layers`, `global_rope_theta`,
//! `local_rope_theta`), as `ModernBertConfig` of transformers reads both. It must not know tensors.

use super::{EncoderConfig, POSITION_CAP, Range, brief, real, whole};
use serde_json::{Map, Value};

/// What one layer knows of positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerPositions {
    /// θ: pair i of a head of d columns turns by `θ^(-2i/d)` radians from one position to the next.
    pub theta: f32,
    /// Tokens that a query sees to either side; `None`: all of its sequence.
    pub window: Option<u32>,
}

/// Largest θ.
const THETA_CAP: f32 = 1e9;

/// A kind of layer: its name in `layer_types` and `rope_parameters`, the older key of its θ, and the default of that.
struct Kind {
    name: &'static str,
    key: &'static str,
    theta: f32,
}

const FULL: Kind = Kind { name: "full_attention", key: "global_rope_theta", theta: 160_000.0 };
const SLIDING: Kind = Kind { name: "sliding_attention", key: "local_rope_theta", theta: 10_000.0 };

/// The layers' positions, in their order.
pub(super) fn read(config: &EncoderConfig) -> Result<Vec<LayerPositions>, String> {
    let (raw, layers) = (&config.raw, config.num_hidden_layers);
    if !config.head_dim().is_multiple_of(2) {
        return Err(format!("heads of {} columns cannot be turned in pairs", config.head_dim()));
    }
    if raw.get("rope_scaling").is_some_and(|value| !value.is_null()) {
        return Err("has a rope_scaling, which is not supported".to_string());
    }
    // The whole window, both sides together.
    let both = whole(raw, "local_attention", 1..=2 * POSITION_CAP)?.unwrap_or(128);
    let window = both as u32 / 2;
    // transformers takes it for half of the other key.
    if let Some(said) = whole(raw, "sliding_window", 0..=POSITION_CAP)?.filter(|&said| said as u32 != window) {
        return Err(format!(
            "sliding_window is {said}, and half of local_attention {both} is {window}: which is meant?"
        ));
    }
    let full = LayerPositions { theta: theta(raw, &FULL)?, window: None };
    let sliding = LayerPositions { theta: theta(raw, &SLIDING)?, window: Some(window) };
    let named = match raw.get("layer_types") {
        None | Some(Value::Null) => None,
        Some(Value::Array(names)) => Some(names),
        Some(other) => return Err(format!("layer_types must be a list, found {}", brief(other))),
    };
    let Some(named) = named else {
        let every = whole(raw, "global_attn_every_n_layers", 1..=usize::from(u16::MAX))?.unwrap_or(3);
        return Ok((0..layers).map(|layer| if layer.is_multiple_of(every) { full } else { sliding }).collect());
    };
    if named.len() != layers {
        return Err(format!("layer_types names {} layers, num_hidden_layers is {layers}", named.len()));
    }
    let layer = |name: &Value| match name.as_str() {
        Some(name) if name == FULL.name => Ok(full),
        Some(name) if name == SLIDING.name => Ok(sliding),
        _ => Err(format!(
            "layer_types names {}, which is not supported; known are {} and {}",
            brief(name),
            FULL.name,
            SLIDING.name
        )),
    };
    named.iter().map(layer).collect()
}

/// θ of a kind of layer: that of `rope_parameters`, else that of the older key.
fn theta(raw: &Map<String, Value>, kind: &Kind) -> Result<f32, String> {
    let found = |map: &Map<String, Value>, key: &str| match map.get(key) {
        // transformers has read it in more than one way.
        Some(Value::Null) => {
            Err(format!("{key} is null, which means different things to different readers: say a number"))
        }
        _ => real(map, key, Range::PositiveUpTo(THETA_CAP)),
    };
    let parameters = match raw.get("rope_parameters") {
        None | Some(Value::Null) => None,
        Some(Value::Object(kinds)) => {
            if let Some(other) = kinds.keys().find(|key| ![FULL.name, SLIDING.name].contains(&key.as_str())) {
                return Err(format!(
                    "rope_parameters has {other}, which is not supported; known are {} and {}",
                    FULL.name, SLIDING.name
                ));
            }
            kinds.get(kind.name).filter(|value| !value.is_null())
        }
        Some(other) => return Err(format!("rope_parameters must be an object, found {}", brief(other))),
    };
    let own = match parameters {
        None => None,
        // The older name of the key is `type`.
        Some(Value::Object(own)) => match own.get("rope_type").or(own.get("type")) {
            None => found(own, "rope_theta")?,
            Some(Value::String(name)) if name == "default" => found(own, "rope_theta")?,
            Some(other) => {
                return Err(format!(
                    "rope_type {} of {} is not supported, only \"default\" is",
                    brief(other),
                    kind.name
                ));
            }
        },
        Some(other) => {
            return Err(format!("rope_parameters of {} must be an object, found {}", kind.name, brief(other)));
        }
    };
    Ok(own.or(found(raw, kind.key)?).unwrap_or(kind.theta))
}
