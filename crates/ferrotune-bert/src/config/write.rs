//! Writes config.json as transformers does: two spaces, keys sorted, ids in numeric order. Same configuration, same bytes.
//! It must not know files.

use super::{EMBEDDING_SIZE, EncoderConfig, TYPE_VOCAB_SIZE};
use crate::model::HeadKind;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a saved configuration must not say any more: counts that id2label replaces, and links to code that is not copied.
const DROPPED: [&str; 3] = ["num_labels", "_num_labels", "auto_map"];

impl EncoderConfig {
    /// The text of config.json for a model of class `architecture`, for example `BertForSequenceClassification`.
    ///
    /// With `labels` (in the order of their ids), id2label, label2id and, but for heads on tokens, problem_type (`single_label_classification` if
    /// [`Self::problem_type`] does not say) are set; without, what the document said about labels is kept. Fields that are not known here are kept. The
    /// element type is float32, since that is what is saved.
    ///
    /// # Panics
    /// If `labels` has a label twice.
    pub fn to_json(&self, architecture: &str, labels: Option<&[String]>) -> String {
        let mut document: BTreeMap<String, Field> =
            self.raw.iter().map(|(key, value)| (key.clone(), Field::Plain(value.clone()))).collect();
        let mut set = |key: &str, value: Value| document.insert(key.to_string(), Field::Plain(value));
        set("architectures", json!([architecture]));
        let keys = &self.family.keys;
        set("model_type", json!(self.family.model_type));
        let optional = [
            self.family.projection.map(|_| (EMBEDDING_SIZE, self.embedding_size)),
            (self.type_vocab_size > 0).then_some((TYPE_VOCAB_SIZE, self.type_vocab_size)),
            // A model that says it has none keeps saying so.
            (self.raw.get("pad_token_id") != Some(&Value::Null)).then_some(("pad_token_id", self.pad_token_id)),
        ];
        let sizes = [
            ("vocab_size", self.vocab_size),
            (keys.hidden_size, self.hidden_size),
            (keys.num_hidden_layers, self.num_hidden_layers),
            (keys.num_attention_heads, self.num_attention_heads),
            (keys.intermediate_size, self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (key, size) in sizes.into_iter().chain(optional.into_iter().flatten()) {
            set(key, json!(size));
        }
        set(keys.hidden_act, json!(self.hidden_act.to_string()));
        let numbers = [
            (keys.hidden_dropout_prob, Some(self.hidden_dropout_prob)),
            (keys.attention_probs_dropout_prob, Some(self.attention_probs_dropout_prob)),
            ("initializer_range", Some(self.initializer_range)),
        ];
        let optional = [
            keys.classifier_dropout.map(|key| (key, self.classifier_dropout)),
            keys.layer_norm_eps.map(|key| (key, Some(self.layer_norm_eps))),
            keys.embedding_dropout.map(|key| (key, Some(self.embedding_dropout()))),
        ];
        for (key, number) in numbers.into_iter().chain(optional.into_iter().flatten()) {
            // Not every class of transformers has all keys; what is not said is not asked for either.
            if number.is_none() && !self.raw.contains_key(key) {
                continue;
            }
            set(key, number.map_or(Value::Null, |number| real(&self.raw, key, number)));
        }
        // New files say `dtype`, old ones `torch_dtype`, which every version of transformers reads.
        set(if self.raw.contains_key("dtype") { "dtype" } else { "torch_dtype" }, json!("float32"));
        if self.raw.contains_key("torch_dtype") {
            set("torch_dtype", json!("float32"));
        }
        for key in DROPPED {
            document.remove(key);
        }
        let kept = labels.is_none().then_some(self.id2label.as_deref()).flatten();
        if let Some(labels) = labels.or(kept) {
            let by_id = labels.iter().enumerate().map(|(id, label)| (id.to_string(), json!(label))).collect();
            let by_name: BTreeMap<&String, usize> = labels.iter().zip(0..).collect();
            assert!(by_name.len() == labels.len(), "EncoderConfig::to_json: a label occurs twice in {labels:?}");
            let by_name = by_name.into_iter().map(|(label, id)| (label.clone(), json!(id))).collect();
            document.insert("id2label".to_string(), Field::Ordered(by_id));
            document.insert("label2id".to_string(), Field::Ordered(by_name));
        }
        if architecture.ends_with(HeadKind::Tokens.class_suffix()) {
            document.remove("problem_type");
        } else if labels.is_some() {
            let kind = self.problem_type.as_deref().unwrap_or("single_label_classification");
            document.insert("problem_type".to_string(), Field::Plain(json!(kind)));
        }
        let mut text = serde_json::to_string_pretty(&document).expect("a map with string keys is always JSON");
        text.push('\n');
        text
    }
}

/// The number as in the document if it means the same f32 there, else the shortest decimal that does.
fn real(raw: &Map<String, Value>, key: &str, number: f32) -> Value {
    match raw.get(key) {
        Some(value) if value.as_f64().is_some_and(|old| old as f32 == number) => value.clone(),
        _ => number.to_string().parse::<f64>().map_or(Value::Null, |shortest| json!(shortest)),
    }
}

/// A value of the document. `Ordered` keeps the order of its pairs, which `serde_json`'s own map does not.
enum Field {
    Plain(Value),
    Ordered(Vec<(String, Value)>),
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Field::Plain(value) => value.serialize(serializer),
            Field::Ordered(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
