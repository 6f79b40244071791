//! [`Labels`]: names of classes to ids and back. It knows nothing of files but the name in a message.

use crate::names::{listed, nearest};
use crate::{DataError, Table};
use std::collections::{BTreeSet, HashMap};

/// The classes of a task. The id of a class is its place in the list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Labels {
    /// The labels of a training table, sorted by name (by code point, so "10" comes before "2").
    ///
    /// # Errors
    /// A row without a label, or only one class in the whole table.
    pub fn from_table(table: &Table) -> Result<Labels, DataError> {
        let file = || table.path.display().to_string();
        let mut names = BTreeSet::new();
        for row in &table.rows {
            let label = row.label.as_ref().ok_or_else(|| DataError::EmptyLabel { file: file(), line: row.line })?;
            if !names.contains(label) {
                names.insert(label.clone());
            }
        }
        if names.len() < 2 {
            let label = names.into_iter().next().unwrap_or_default();
            return Err(DataError::SingleClass { file: file(), label });
        }
        Labels::from_names(names.into_iter().collect())
    }

    /// Labels with given ids: the name at place `n` has id `n`, as in a model's `id2label`.
    ///
    /// # Errors
    /// A name that is empty or comes twice.
    pub fn from_names(names: Vec<String>) -> Result<Labels, DataError> {
        let mut ids = HashMap::with_capacity(names.len());
        for (id, name) in names.iter().enumerate() {
            if name.is_empty() || ids.insert(name.clone(), id as u32).is_some() {
                return Err(DataError::BadLabelName { label: name.clone() });
            }
        }
        Ok(Labels { names, ids })
    }

    /// The id of a name.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// The name of an id.
    ///
    /// # Panics
    /// When there is no such id.
    pub fn name(&self, id: u32) -> &str {
        let classes = self.names.len();
        self.names.get(id as usize).unwrap_or_else(|| panic!("Labels::name: id {id} of {classes} classes"))
    }

    /// All names, in the order of their ids.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The label id of each row.
///
/// # Errors
/// The first row with no label, or with one that `labels` lacks; the message counts all such rows.
pub fn encode_labels(table: &Table, labels: &Labels) -> Result<Vec<u32>, DataError> {
    let file = || table.path.display().to_string();
    let mut ids = Vec::with_capacity(table.rows.len());
    let mut unknown = None;
    let mut unknown_rows = 0;
    for row in &table.rows {
        let Some(label) = &row.label else { return Err(DataError::EmptyLabel { file: file(), line: row.line }) };
        match labels.id(label) {
            Some(id) => ids.push(id),
            None => {
                unknown_rows += 1;
                unknown = unknown.or(Some((row.line, label)));
            }
        }
    }
    match unknown {
        Some((line, label)) => Err(unknown_label(table, labels, line, label, unknown_rows)),
        None => Ok(ids),
    }
}

/// The refusal of `rows` rows with labels that are not known, of which this is the first.
pub(crate) fn unknown_label(table: &Table, labels: &Labels, line: u64, label: &str, rows: usize) -> DataError {
    DataError::UnknownLabel {
        file: table.path.display().to_string(),
        line,
        label: label.to_owned(),
        rows,
        known: listed(labels.names.iter().map(String::as_str)),
        nearest: nearest(label, labels.names.iter().map(String::as_str)),
    }
}
