//! Names of labels that a program wrote in place of a value: one number in two notations, words for a value that is missing. It knows nothing of
//! rows.

use crate::labels::numbers::number;
use serde::Serialize;
use std::collections::BTreeMap;

/// Words that say nothing but that a value is missing.
const MISSING: [&str; 6] = ["nan", "n/a", "#n/a", "null", "undefined", "-"];
/// Words that say so, or that are the honest name of a class.
const MAYBE_MISSING: [&str; 3] = ["na", "none", "nil"];

/// Labels that are the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SameNumber {
    /// The names, sorted, with their rows over all splits.
    pub names: Vec<(String, usize)>,
    /// Whether it is a whole number. Another may be the number of a section or a version, of which 1.1 and 1.10 are two.
    pub whole: bool,
}

/// A label that says that a value is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingWord {
    /// Its name.
    pub name: String,
    /// Its rows over all splits.
    pub rows: usize,
    /// Whether a class is hardly ever called so.
    pub sure: bool,
}

/// The numbers that these names with their rows write in several ways.
pub(crate) fn same_numbers(counts: &BTreeMap<String, usize>) -> Vec<SameNumber> {
    let mut numbers: BTreeMap<String, SameNumber> = BTreeMap::new();
    for (name, &rows) in counts {
        if let Some(number) = number(name) {
            let whole = number.ends_with('.');
            let same = numbers.entry(number).or_insert(SameNumber { names: Vec::new(), whole });
            same.names.push((name.clone(), rows));
        }
    }
    numbers.into_values().filter(|same| same.names.len() > 1).collect()
}

/// The names that say that a value is missing, where there are other names too. `arrays` says whether names are written as arrays, of which one may
/// well be empty.
pub(crate) fn missing_words(counts: &BTreeMap<String, usize>, arrays: bool) -> Vec<MissingWord> {
    let said = |(name, &rows): (&String, &usize)| {
        let sure = missing(name)?;
        // A plus beside it makes a minus of it.
        let is_meant = name == "-" && counts.contains_key("+") || arrays && name.starts_with('[');
        (!is_meant).then(|| MissingWord { name: name.clone(), rows, sure })
    };
    let found: Vec<MissingWord> = counts.iter().filter_map(said).collect();
    if found.len() < counts.len() { found } else { Vec::new() }
}

/// Whether a name says that a value is missing: surely, maybe, or not.
fn missing(name: &str) -> Option<bool> {
    let name = name.to_lowercase();
    let inside = [('(', ')'), ('[', ']'), ('<', '>'), ('{', '}')]
        .into_iter()
        .find_map(|(open, close)| name.strip_prefix(open)?.strip_suffix(close));
    match inside.map(str::trim) {
        Some(inside) => {
            let is_word =
                ["", "empty"].contains(&inside) || MISSING.contains(&inside) || MAYBE_MISSING.contains(&inside);
            is_word.then_some(true)
        }
        None if MISSING.contains(&name.as_str()) => Some(true),
        None => MAYBE_MISSING.contains(&name.as_str()).then_some(false),
    }
}
