//! [`Labels`]: names of classes to ids and back. It knows nothing of files but the name in a message.

pub(crate) mod label_sets;
pub(crate) mod numbers;
pub(crate) mod scores;
pub(crate) mod tags;

use crate::names::{listed, nearest};
use crate::{DataError, Row, Table};
use numbers::in_order;
use std::collections::{BTreeSet, HashMap};

/// The classes of a task. The id of a class is its place in the list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Labels {
    /// The labels of a training table, sorted by name (by code point), or by value where all are whole numbers: the label 2 is then the output 2 if
    /// they count from 0.
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
        Labels::from_names(in_order(names))
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
    encode_rows(table, labels, |row| {
        let file = || table.path.display().to_string();
        let label = row.label.as_deref().ok_or_else(|| DataError::EmptyLabel { file: file(), line: row.line })?;
        Ok(labels.id(label).ok_or(label))
    })
}

/// The ids of each row by `ids`, which gives back the row's first label that `labels` lacks.
///
/// # Errors
/// As `ids`; or the first such label, with the number of all rows that have one.
pub(crate) fn encode_rows<'a, T>(
    table: &'a Table,
    labels: &Labels,
    ids: impl Fn(&'a Row) -> Result<Result<T, &'a str>, DataError>,
) -> Result<Vec<T>, DataError> {
    let mut all = Vec::with_capacity(table.rows.len());
    let mut unknown = None;
    let mut unknown_rows = 0;
    for row in &table.rows {
        match ids(row)? {
            Ok(ids) => all.push(ids),
            Err(label) => {
                unknown_rows += 1;
                unknown = unknown.or(Some((row.line, label)));
            }
        }
    }
    let names = || labels.names.iter().map(String::as_str);
    match unknown {
        Some((line, label)) => Err(DataError::UnknownLabel {
            file: table.path.display().to_string(),
            line,
            label: label.to_owned(),
            rows: unknown_rows,
            known: listed(names()),
            nearest: nearest(label, names()),
        }),
        None => Ok(all),
    }
}
