//! [`hold_out`]: which training rows are kept apart to measure a run where no other rows are named. It knows nothing of files or messages.

use crate::{Need, Row, SplitError, joined, label_set, row_tags, split, wording};
use std::collections::HashMap;

/// How many rows a share of them is: rounded, at least one, and at least one is left.
pub fn held_out_rows(rows: usize, share: f64) -> usize {
    ((share * rows as f64).round() as usize).clamp(1, rows.saturating_sub(1).max(1))
}

/// Whether each row is held out: a pure function of its arguments.
///
/// Rows with the same text (but for case, blanks and punctuation) are on the same side. Each class has its share held out, and at least one row that is
/// learned from, as [`split`] says. Where a row has several labels, or tags, it belongs to the rarest of them; numbers and texts alone have no
/// classes.
///
/// # Errors
/// As [`split`]: too few rows, or too many with the same text.
pub fn hold_out(rows: &[Row], need: Need, share: f64, seed: u64) -> Result<Vec<bool>, SplitError> {
    if rows.len() < 2 {
        return Err(SplitError::EmptyPart { part: 1, rows: rows.len() });
    }
    let held_out = held_out_rows(rows.len(), share);
    let texts: Vec<Option<String>> = rows.iter().map(wording).collect();
    let groups = joined(rows.len(), &[&texts]);
    let parts = split(&[rows.len() - held_out, held_out], &classes(rows, need), &groups, Some(0), seed)?;
    Ok(parts.into_iter().map(|part| part == 1).collect())
}

/// The class of each row by number, from 0 in the order of their first rows; rows without a label are one class.
pub(crate) fn classes(rows: &[Row], need: Need) -> Vec<usize> {
    let names: Vec<Vec<&str>> = rows.iter().map(|row| names(row, need)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    names.iter().flatten().for_each(|name| *counts.entry(name).or_insert(0) += 1);
    let mut numbers: HashMap<Option<&str>, usize> = HashMap::new();
    let of_row = |names: Vec<_>| {
        // Of equally rare names the first by name, so that the order of a row's labels does not matter.
        let rarest = names.into_iter().min_by_key(|&name| (counts[name], name));
        let next = numbers.len();
        *numbers.entry(rarest).or_insert(next)
    };
    names.into_iter().map(of_row).collect()
}

/// The names that may be a row's class. A malformed set of labels has none: whoever encodes it refuses it.
fn names(row: &Row, need: Need) -> Vec<&str> {
    match need {
        Need::Labels => row.label.as_deref().into_iter().collect(),
        Need::LabelSets { separator } => label_set(row, separator, "").unwrap_or_default(),
        Need::Tags => row_tags(row).collect(),
        Need::Scores | Need::TextOnly | Need::WordsOnly => Vec::new(),
    }
}
