//! How distances between tokens fall into rows of a table: near ones have a row each, far ones share some, the more the farther they are. It must not know
//! tensors.

use super::{EncoderConfig, POSITION_CAP, Range, brief, real, whole};
use crate::family::Relative;
use serde_json::{Map, Value};

/// A table's rows. The logarithms are taken in f32, as PyTorch takes them: where they are cut to whole numbers this decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistanceRows {
    /// T5's (Raffel et al. 2020, <https://arxiv.org/abs/1910.10683>; `relative_position_bucket` of `MPNetEncoder`).
    Halves {
        /// Rows: the first half for keys up to the query, the other for those after it.
        rows: usize,
        /// The distance from which on all share the last row.
        furthest: usize,
    },
    /// DeBERTa's (`make_log_bucket_position`).
    Logarithmic {
        /// Rows for each direction; the query itself has that in the middle.
        span: usize,
        /// The distance that gets the last row.
        furthest: usize,
    },
}

impl DistanceRows {
    /// How many there are.
    pub fn count(&self) -> usize {
        match *self {
            DistanceRows::Halves { rows, .. } => rows,
            DistanceRows::Logarithmic { span, .. } => 2 * span,
        }
    }

    /// The row of a key that lies so many tokens after its query; before it, if that is negative.
    pub fn row(&self, distance: i64) -> usize {
        let far = distance.unsigned_abs() as usize;
        // ln(far / near) / ln(furthest / near), and so from 0 to 1.
        let share =
            |near: usize, furthest: usize| (far as f32 / near as f32).ln() / (furthest as f32 / near as f32).ln();
        match *self {
            DistanceRows::Halves { rows, furthest } => {
                let half = rows / 2;
                let exact = half / 2;
                let bucket = match far < exact {
                    true => far,
                    false => exact + (share(exact, furthest) * (half - exact) as f32) as usize,
                };
                bucket.min(half - 1) + if distance > 0 { half } else { 0 }
            }
            DistanceRows::Logarithmic { span, furthest } => {
                let exact = span / 2;
                let bucket = match far <= exact {
                    true => far,
                    false => (share(exact, furthest - 1) * (exact - 1) as f32).ceil() as usize + exact,
                };
                if distance > 0 { span.saturating_sub(bucket) } else { (span + bucket).min(2 * span - 1) }
            }
        }
    }
}

/// The rows of a family that scores distances. Refuses what its configurations may say otherwise.
pub(super) fn read(config: &EncoderConfig, relative: Relative) -> Result<DistanceRows, String> {
    let raw = &config.raw;
    match relative {
        Relative::Bias { .. } => {
            // transformers has this number in its code, and that of the file for the table alone.
            let rows = whole(raw, "relative_attention_num_buckets", 1..=POSITION_CAP)?.unwrap_or(32);
            if rows != 32 {
                return Err(format!("relative_attention_num_buckets {rows} is not supported, only 32 is"));
            }
            if config.pad_token_id != 1 {
                return Err(format!(
                    "pad_token_id {} is not supported: positions are counted from 1",
                    config.pad_token_id
                ));
            }
            Ok(DistanceRows::Halves { rows, furthest: 128 })
        }
        Relative::Disentangled { .. } => {
            check_disentangled(raw, config)?;
            let Some(span) = number(raw, "position_buckets")?.filter(|&span| span >= 4) else {
                return Err("has no position_buckets of at least 4, which is not supported".to_string());
            };
            let furthest = number(raw, "max_relative_positions")?.unwrap_or(config.max_position_embeddings);
            if furthest <= span / 2 + 1 {
                return Err(format!("position_buckets {span} are too many for distances up to {furthest}"));
            }
            Ok(DistanceRows::Logarithmic { span, furthest })
        }
    }
}

/// A number of which -1 says that there is none.
fn number(raw: &Map<String, Value>, key: &str) -> Result<Option<usize>, String> {
    match raw.get(key).and_then(Value::as_i64) {
        Some(..=0) => Ok(None),
        _ => whole(raw, key, 1..=POSITION_CAP),
    }
}

/// Refuses what DeBERTa's third version has otherwise than its earlier ones.
fn check_disentangled(raw: &Map<String, Value>, config: &EncoderConfig) -> Result<(), String> {
    let (hidden, head) = (config.hidden_size, config.head_dim());
    // What transformers takes where the file says nothing, and what is built.
    let wanted: [(&str, Value, Value); 9] = [
        ("relative_attention", false.into(), true.into()),
        ("share_att_key", false.into(), true.into()),
        ("position_biased_input", true.into(), false.into()),
        ("norm_rel_ebd", "none".into(), "layer_norm".into()),
        ("conv_kernel_size", 0.into(), 0.into()),
        ("type_vocab_size", 0.into(), 0.into()),
        ("embedding_size", hidden.into(), hidden.into()),
        ("pooler_hidden_size", hidden.into(), hidden.into()),
        ("attention_head_size", head.into(), head.into()),
    ];
    let refused = |key: &str, said: &Value, only: &Value| {
        let (said, only) = (brief(said), brief(only));
        Err(format!("{key} {said} is not supported, only {only} is, as in DeBERTa's third version (deberta-v3)"))
    };
    for (key, default, only) in &wanted {
        let said = raw.get(*key).filter(|value| !value.is_null()).unwrap_or(default);
        if said != only {
            return refused(key, said, only);
        }
    }
    let said = raw.get("pos_att_type").unwrap_or(&Value::Null);
    let mut terms: Vec<String> = match said {
        Value::String(names) => names.split('|').map(|name| name.trim().to_lowercase()).collect(),
        Value::Array(names) => names.iter().filter_map(|name| Some(name.as_str()?.to_lowercase())).collect(),
        _ => Vec::new(),
    };
    terms.sort();
    if terms != ["c2p", "p2c"] {
        return refused("pos_att_type", said, &"p2c|c2p".into());
    }
    match raw.get("pooler_hidden_act") {
        None => {}
        Some(Value::String(name)) if name == "gelu" => {}
        Some(other) => {
            return Err(format!("pooler_hidden_act {} is not supported, only \"gelu\" (exact) is", brief(other)));
        }
    }
    match real(raw, "pooler_dropout", Range::Dropout)? {
        None | Some(0.0) => Ok(()),
        Some(p) => Err(format!("pooler_dropout {p} is not supported, only 0 is: cls_dropout follows the pooler")),
    }
}
