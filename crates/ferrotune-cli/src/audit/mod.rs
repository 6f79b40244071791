//! What the audit of the rows found, in words: all of it for `ferrotune audit`, the short form before training. It must not look at rows itself.

mod findings;
mod labels;
mod names;
#[cfg(test)]
mod tests;

pub use findings::{Finding, Severity, findings};
pub use labels::{LabelErrors, Suspect, judge};

use crate::terminal::shown::counted;
use ferrotune_data::{AuditRows, AuditSettings, DataError, Need, Place, Table, audit};

/// At most so many lines of a file are named in the short form.
const NAMED: usize = 3;

/// The short form: one line for each finding that a person should know of before training. `need` is what the tables were read with.
///
/// # Errors
/// More rows than can be counted.
pub fn lines(
    train: &Table,
    validation: Option<&Table>,
    test: Option<&Table>,
    need: Need,
) -> Result<Vec<String>, DataError> {
    let splits = [("train", Some(train)), ("validation", validation), ("test", test)];
    let splits: Vec<_> =
        splits.into_iter().filter_map(|(name, table)| Some((name, AuditRows::Table(table?)))).collect();
    let audit = audit(&splits, AuditSettings { need, tokenizer: None, near: true, languages: false })?;
    let found: Vec<Finding> = findings(&audit, need == Need::Labels, None)
        .into_iter()
        .filter(|found| found.severity == Severity::Warning)
        .collect();
    let mut lines: Vec<String> = found.iter().map(line).collect();
    if found.iter().any(|found| !found.rows.is_empty()) {
        lines.push("`ferrotune audit` with the same files shows these rows, and writes cleaned copies".to_string());
    }
    Ok(lines)
}

fn line(found: &Finding) -> String {
    let named: Vec<String> = found.rows.iter().take(NAMED).map(|row| place(&row.place, row.of.as_ref())).collect();
    let more = found.rows.len().saturating_sub(NAMED);
    match (named.is_empty(), more) {
        (true, _) => found.message.clone(),
        (_, 0) => format!("{} ({})", found.message, named.join(", ")),
        _ => format!("{} ({} and {} more)", found.message, named.join(", "), more),
    }
}

/// Where a row stands, and where the one that it is compared with does.
pub fn place(place: &Place, of: Option<&Place>) -> String {
    let here = format!("{} line {}", place.split, place.line);
    match of {
        Some(of) if of.split == place.split => format!("{here} is line {}", of.line),
        Some(of) => format!("{here} is {} line {}", of.split, of.line),
        None => here,
    }
}

/// `3 rows`.
pub fn rows(number: usize) -> String {
    counted(number, "row")
}
