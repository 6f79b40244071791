//! What labels say: their names, when two say the same, and how many rows have each. It knows nothing of texts.

use super::keys::key;
use crate::{Need, Row, label_set, parse_score, row_tags};
use std::collections::BTreeMap;

/// The names of a row's labels. A set that is malformed counts as one name: whoever encodes it refuses it.
pub(crate) fn names(row: &Row, need: Need) -> Vec<&str> {
    match need {
        Need::Scores => Vec::new(),
        Need::LabelSets { separator } => {
            label_set(row, separator, "").unwrap_or_else(|_| row.label.as_deref().into_iter().collect())
        }
        Need::Tags => row_tags(row).collect(),
        Need::Labels | Need::TextOnly | Need::WordsOnly => row.label.as_deref().into_iter().collect(),
    }
}

/// Equal for labels that say the same: sets in any order, numbers if they are equal, tags in the same order. `None` without a label, which
/// of sets is one too.
pub(crate) fn meaning(row: &Row, need: Need) -> Option<u64> {
    let label = row.label.as_deref();
    let said = match need {
        Need::Scores => label.map(|label| parse_score(label).map_or(label.to_owned(), |score| score.to_string())),
        Need::LabelSets { .. } => {
            let mut names = names(row, need);
            names.sort_unstable();
            Some(names.join("\n"))
        }
        _ => label.map(str::to_owned),
    };
    said.map(|said| key(&said) as u64)
}

/// The labels of `all` that `some` lacks.
pub(crate) fn without(all: &BTreeMap<String, usize>, some: &BTreeMap<String, usize>) -> Vec<String> {
    all.keys().filter(|label| !some.contains_key(*label)).cloned().collect()
}
