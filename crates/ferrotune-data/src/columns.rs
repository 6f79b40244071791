//! Which columns of a file are the text, the second text and the label. It knows nothing of rows.

use crate::names::{listed, nearest};
use crate::{DataError, Need};
use std::collections::HashSet;

/// The names of the columns to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The text, the first text of a pair, or the words.
    pub text: String,
    /// The second text of a pair.
    pub text_b: Option<String>,
    /// The label, or the tags.
    pub label: Option<String>,
}

impl Columns {
    /// The usual columns: `text`, or `text_a` and `text_b`, with `label` where the file has it.
    /// `None` when the file has neither, or both.
    pub fn infer(headers: &[String]) -> Option<Columns> {
        let found = |name: &str| headers.iter().find(|header| *header == name).cloned();
        let label = found("label");
        match (found("text"), found("text_a"), found("text_b")) {
            (Some(text), None, _) | (Some(text), _, None) => Some(Columns { text, text_b: None, label }),
            (None, Some(text), text_b @ Some(_)) => Some(Columns { text, text_b, label }),
            _ => None,
        }
    }

    /// The columns to read from a file with these headers: `wanted`, else the usual ones. All of them exist.
    pub(crate) fn locate(
        file: &str,
        headers: &[String],
        wanted: Option<&Columns>,
        need: Need,
    ) -> Result<Columns, DataError> {
        let mut names = HashSet::with_capacity(headers.len());
        if let Some(header) = headers.iter().find(|header| !names.insert(header.as_str())) {
            return Err(DataError::DuplicateColumn { file: file.to_owned(), column: header.clone() });
        }
        let has = |name: &str| headers.iter().any(|header| header == name);
        let missing = |name: &str| missing(file, headers, name);
        let usual = || match need.words() {
            true => Some(Columns { text: need.text_column().to_owned(), text_b: None, label: None }),
            false => Columns::infer(headers),
        };
        let mut columns = match wanted.cloned().or_else(usual) {
            Some(columns) => columns,
            None if has("text") => return Err(DataError::AmbiguousColumns { file: file.to_owned() }),
            None if has("text_a") => return Err(missing("text_b")),
            None if has("text_b") => return Err(missing("text_a")),
            None => return Err(missing("text")),
        };
        let named = wanted.and_then(|wanted| wanted.label.clone());
        let usual = || need.label_columns().iter().find(|name| has(name)).unwrap_or(&need.label_columns()[0]);
        let label = named.unwrap_or_else(|| (*usual()).to_owned());
        columns.label = (!need.no_label() || has(&label)).then_some(label);
        for name in [Some(&columns.text), columns.text_b.as_ref(), columns.label.as_ref()].into_iter().flatten() {
            if !has(name) {
                return Err(missing(name));
            }
        }
        Ok(columns)
    }
}

/// Which of the headers has this name.
pub(crate) fn place_of(file: &str, headers: &[String], name: &str) -> Result<usize, DataError> {
    headers.iter().position(|header| header == name).ok_or_else(|| missing(file, headers, name))
}

fn missing(file: &str, headers: &[String], name: &str) -> DataError {
    let headers = || headers.iter().map(String::as_str);
    // The two texts of a pair have near names, and neither stands for the other.
    let alike = headers().filter(|header| !(is_half(name) && is_half(header)));
    DataError::MissingColumn {
        file: file.to_owned(),
        column: name.to_owned(),
        columns: listed(headers()),
        nearest: nearest(name, alike),
    }
}

/// Whether this is the usual name of one text of a pair.
fn is_half(name: &str) -> bool {
    name == "text_a" || name == "text_b"
}
