//! The labels in config.json, which says them three times: id2label, label2id, num_labels. They must agree.
//! It must not know the rest of the configuration.

use super::{LABEL_CAP, brief, whole};
use crate::error::quoted;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The labels in the order of their ids. `None` if the document says nothing; `LABEL_0`, ... if it gives only their
/// number, as transformers names them.
pub(super) fn read(raw: &Map<String, Value>) -> Result<Option<Vec<String>>, String> {
    let present = |key: &str| raw.get(key).filter(|value| !value.is_null());
    let by_id = present("id2label").map(read_id2label).transpose()?;
    let by_name = present("label2id").map(read_label2id).transpose()?;
    if let (Some(by_id), Some(by_name)) = (&by_id, &by_name) {
        check_agree(by_id, by_name)?;
    }
    let count = whole(raw, "num_labels", 0..=LABEL_CAP)?;
    let labels = by_id.or(by_name).or_else(|| count.map(|count| (0..count).map(|id| format!("LABEL_{id}")).collect()));
    match (&labels, count) {
        (Some(labels), Some(count)) if labels.len() != count => Err(format!(
            "num_labels is {count}, but id2label or label2id has {}; make them agree or remove num_labels",
            labels.len()
        )),
        _ => Ok(labels.filter(|labels| !labels.is_empty())),
    }
}

/// What the labels are for, if the document says it.
pub(super) fn problem_type(raw: &Map<String, Value>) -> Result<Option<String>, String> {
    match raw.get("problem_type") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(kind)) => Ok(Some(kind.clone())),
        Some(other) => Err(format!("problem_type must be a string, found {}", brief(other))),
    }
}

fn read_id2label(value: &Value) -> Result<Vec<String>, String> {
    let Value::Object(map) = value else {
        return Err(format!("id2label must be an object of id: label, found {}", brief(value)));
    };
    let pairs = map.iter().map(|(id, label)| {
        let Value::String(label) = label else {
            return Err(format!("id2label gives {} for {}, expected a string", brief(label), quoted(id)));
        };
        let number = id.parse::<usize>().ok().filter(|number| number.to_string() == *id);
        Ok((number.ok_or_else(|| format!("id2label has the id {}, expected a whole number", quoted(id)))?, label))
    });
    in_order("id2label", map.len(), pairs)
}

fn read_label2id(value: &Value) -> Result<Vec<String>, String> {
    let Value::Object(map) = value else {
        return Err(format!("label2id must be an object of label: id, found {}", brief(value)));
    };
    let pairs = map.iter().map(|(label, id)| {
        let number = id.as_u64().and_then(|id| usize::try_from(id).ok());
        let fault = || format!("label2id gives {} for {}, expected a whole number", brief(id), quoted(label));
        Ok((number.ok_or_else(fault)?, label))
    });
    in_order("label2id", map.len(), pairs)
}

/// Puts labels in the order of ids, which must be 0 to count - 1, each once, with labels that are all different.
fn in_order<'a>(
    key: &str,
    count: usize,
    pairs: impl Iterator<Item = Result<(usize, &'a String), String>>,
) -> Result<Vec<String>, String> {
    if count > LABEL_CAP {
        return Err(format!("{key} has {count} labels, at most {LABEL_CAP} are supported"));
    }
    let mut labels: Vec<Option<&String>> = vec![None; count];
    let mut ids: HashMap<&str, usize> = HashMap::with_capacity(count);
    for pair in pairs {
        let (id, label) = pair?;
        match labels.get_mut(id) {
            Some(place @ None) => *place = Some(label),
            Some(Some(other)) => {
                return Err(format!("{key} gives the id {id} to both {} and {}", quoted(other), quoted(label)));
            }
            None => return Err(format!("{key} has {count} labels but the id {id}; ids must be 0 to {}", count - 1)),
        }
        if let Some(other) = ids.insert(label, id) {
            return Err(format!(
                "{key} has the label {} for both {} and {}",
                quoted(label),
                other.min(id),
                other.max(id)
            ));
        }
    }
    // As many pairs as places and no place twice, so every place is taken.
    Ok(labels.into_iter().flatten().cloned().collect())
}

fn check_agree(by_id: &[String], by_name: &[String]) -> Result<(), String> {
    if by_id.len() != by_name.len() {
        return Err(format!("id2label has {} labels and label2id has {}; make them agree", by_id.len(), by_name.len()));
    }
    match by_id.iter().zip(by_name).position(|(one, other)| one != other) {
        Some(id) => Err(format!(
            "the label of id {id} is {} in id2label and {} in label2id; make them agree",
            quoted(&by_id[id]),
            quoted(&by_name[id])
        )),
        None => Ok(()),
    }
}
