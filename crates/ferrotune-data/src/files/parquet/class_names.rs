//! The names of classes that Hugging Face's `datasets` writes into a Parquet file, whose rows then hold numbers. It knows nothing of rows.

use parquet::file::metadata::KeyValue;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// The names of each column that has some, by number: `ClassLabel`, also inside `Sequence` or `List`. A description that is none is left alone,
/// since the rows can be read without it.
pub(super) fn class_names(pairs: &[KeyValue]) -> HashMap<String, Arc<[String]>> {
    let described = pairs.iter().find(|pair| pair.key == "huggingface").and_then(|pair| pair.value.as_deref());
    let described: Option<Value> = described.and_then(|text| serde_json::from_str(text).ok());
    let features = described.as_ref().and_then(|value| value.pointer("/info/features")).and_then(Value::as_object);
    let columns = features.into_iter().flatten();
    columns.filter_map(|(column, feature)| Some((column.clone(), names(feature)?))).collect()
}

fn names(feature: &Value) -> Option<Arc<[String]>> {
    match feature.get("_type")?.as_str()? {
        "ClassLabel" => {
            let names = feature.get("names")?.as_array()?;
            names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        }
        "Sequence" | "List" | "LargeList" => names(feature.get("feature")?),
        _ => None,
    }
}
