//! Rows with any number of labels: names joined by a separator, or a JSON array. It knows nothing of classes that exclude each other.

use crate::labels::encode_rows;
use crate::labels::numbers::in_order;
use crate::{DataError, Labels, Row, Table};
use std::collections::BTreeSet;

/// The names of a row's labels, in the order of the file; none is allowed.
///
/// # Errors
/// An empty name (`a||b`), or a name that comes twice.
pub fn label_set<'a>(row: &'a Row, separator: char, file: &str) -> Result<Vec<&'a str>, DataError> {
    let Some(joined) = &row.label else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for name in joined.split(separator).map(str::trim) {
        if name.is_empty() {
            return Err(DataError::EmptyLabelInSet { file: file.to_owned(), line: row.line, separator });
        }
        if names.contains(&name) {
            return Err(DataError::RepeatedLabel { file: file.to_owned(), line: row.line, label: name.to_owned() });
        }
        names.push(name);
    }
    Ok(names)
}

impl Labels {
    /// The labels that occur in the rows of a training table, sorted as those of [`Labels::from_table`].
    ///
    /// # Errors
    /// As [`label_set`]; or no row has any label.
    pub fn from_sets(table: &Table, separator: char) -> Result<Labels, DataError> {
        let file = table.path.display().to_string();
        let mut names = BTreeSet::new();
        for row in &table.rows {
            names.extend(label_set(row, separator, &file)?);
        }
        if names.is_empty() {
            return Err(DataError::NoLabels { file });
        }
        Labels::from_names(in_order(names.into_iter().map(str::to_owned).collect()))
    }
}

/// The label ids of each row, ascending.
///
/// # Errors
/// As [`label_set`]; or the first label that `labels` lacks, with the number of all rows that have such labels.
pub fn encode_label_sets(table: &Table, labels: &Labels, separator: char) -> Result<Vec<Vec<u32>>, DataError> {
    let file = table.path.display().to_string();
    encode_rows(table, labels, |row| {
        let names = label_set(row, separator, &file)?;
        let ids: Result<Vec<u32>, &str> = names.into_iter().map(|name| labels.id(name).ok_or(name)).collect();
        Ok(ids.map(|mut ids| {
            ids.sort_unstable();
            ids
        }))
    })
}
