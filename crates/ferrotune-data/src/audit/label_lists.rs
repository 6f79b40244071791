//! Names of labels that are several names in one, in another notation than the one that is read. It knows nothing of rows.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What people put between names. Not a blank: names of several words are usual.
const SEPARATORS: [char; 3] = [',', '|', ';'];

/// Labels that look like lists of labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelLists {
    /// One of them.
    pub example: String,
    /// How many there are.
    pub lists: usize,
    /// What stands between the names; none where they are written as an array, in brackets.
    pub separator: Option<char>,
}

/// The lists among these names with their rows, if there are any.
pub(crate) fn label_lists(counts: &BTreeMap<String, usize>) -> Option<LabelLists> {
    let arrays: Vec<&str> = counts.keys().map(String::as_str).filter(|name| inside(name).is_some()).collect();
    if arrays.len() > 1 && arrays.iter().any(|name| inside(name).is_some_and(is_list)) {
        let example = arrays.iter().find(|name| name.contains(',')).unwrap_or(&arrays[0]);
        return Some(LabelLists { example: (*example).to_owned(), lists: arrays.len(), separator: None });
    }
    let of = |separator| {
        let lists = joined(counts, separator);
        let example = (*lists.first()?).to_owned();
        Some(LabelLists { example, lists: lists.len(), separator: Some(separator) })
    };
    SEPARATORS.into_iter().filter_map(of).max_by_key(|found| found.lists)
}

/// What stands in brackets, if a name is written so.
fn inside(name: &str) -> Option<&str> {
    Some(name.strip_prefix('[')?.strip_suffix(']')?.trim())
}

/// Whether what stands in brackets is more than a word such as `deleted`.
fn is_list(inside: &str) -> bool {
    let quoted = |quote: char| inside.len() > 1 && inside.starts_with(quote) && inside.ends_with(quote);
    inside.is_empty() || inside.contains(',') || quoted('\'') || quoted('"')
}

/// The names that are made of others. That a name holds a separator says little ("Trinidad, Tobago"): each of its parts must be a name or stand in
/// another list too. And where none is made of names alone, some part must stand both first and later, as in `a;b` and `b;c`: names of two fields,
/// such as "Dakota, North" and "Dakota, South" beside those of Carolina, have each part in one place.
fn joined(counts: &BTreeMap<String, usize>, separator: char) -> Vec<&str> {
    let (mut lists, mut alone): (Vec<(&str, Vec<&str>)>, BTreeSet<&str>) = (Vec::new(), BTreeSet::new());
    for name in counts.keys() {
        let parts: Vec<&str> = name.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.len() == 1 {
            alone.insert(parts[0]);
        } else if parts.iter().any(|part| *part != parts[0]) && !is_decimal(&parts, separator) {
            lists.push((name.as_str(), parts));
        }
    }
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, parts) in &lists {
        let parts: BTreeSet<&str> = parts.iter().copied().collect();
        parts.into_iter().for_each(|part| *counted.entry(part).or_insert(0) += 1);
    }
    lists.retain(|(_, parts)| parts.iter().all(|part| alone.contains(part) || counted[part] > 1));
    let of_names = lists.iter().any(|(_, parts)| parts.iter().all(|part| alone.contains(part)));
    let firsts: BTreeSet<&str> = lists.iter().map(|(_, parts)| parts[0]).collect();
    let moves = lists.iter().any(|(_, parts)| parts[1..].iter().any(|part| firsts.contains(part)));
    if !of_names && !moves {
        lists.clear();
    }
    lists.into_iter().map(|(name, _)| name).collect()
}

/// Whether this is a number as `3,5`.
fn is_decimal(parts: &[&str], separator: char) -> bool {
    separator == ',' && parts.len() == 2 && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}
