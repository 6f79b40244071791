//! Which columns of a file are the text, the second text and the label. It knows nothing of rows.

use crate::names::{listed, nearest};
use crate::{DataError, Format, Need};
use std::collections::HashSet;

/// What to type where another column has the text, one of two texts, or the label.
const TEXT_FLAG: &str = ", or name it with --text-column";
const PAIR_FLAGS: &str = ", or name both texts with --text-column and --text-b-column";
const LABEL_FLAG: &str = ", or name it with --label-column";

/// What a person named of the columns to read; of the rest those with the usual names are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The text, the first text of a pair, or the words.
    pub text: Option<String>,
    /// The second text of a pair.
    pub text_b: Option<String>,
    /// The label, or the tags.
    pub label: Option<String>,
}

impl From<Columns> for Wanted {
    fn from(Columns { text, text_b, label }: Columns) -> Wanted {
        Wanted { text: Some(text), text_b, label }
    }
}

/// The columns that are read of a file.
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
    /// `None` when the file has neither, or both, or half a pair beside a text.
    fn infer(headers: &[String]) -> Option<Columns> {
        let found = |name: &str| headers.iter().find(|header| *header == name).cloned();
        let label = found("label");
        match (found("text"), found("text_a"), found("text_b")) {
            (Some(text), _, None) => Some(Columns { text, text_b: None, label }),
            (None, Some(text), text_b @ Some(_)) => Some(Columns { text, text_b, label }),
            _ => None,
        }
    }

    /// The columns to read from a file with these headers: those that are `wanted`, else the usual ones. All of them exist. A second text counts only beside a
    /// first that is wanted.
    pub(crate) fn locate(
        file: &str,
        headers: &[String],
        format: Format,
        wanted: Option<&Wanted>,
        need: Need,
    ) -> Result<Columns, DataError> {
        let mut names = HashSet::with_capacity(headers.len());
        // Spreadsheets write columns without a name beside the others: nobody can mean one of them.
        if let Some(header) = headers.iter().find(|header| !names.insert(header.as_str()) && !header.is_empty()) {
            return Err(DataError::DuplicateColumn { file: file.to_owned(), column: header.clone() });
        }
        let has = |name: &str| headers.iter().any(|header| header == name);
        let missing = |name: &str, flag| {
            misread(file, headers, format, name).unwrap_or_else(|| missing(file, headers, name, flag))
        };
        let usual = || match need.words() {
            true => Some(Columns { text: need.text_column().to_owned(), text_b: None, label: None }),
            false => Columns::infer(headers),
        };
        let Wanted { text, text_b, label: named } = wanted.cloned().unwrap_or_default();
        let mut columns = match text.map(|text| Columns { text, text_b, label: None }).or_else(usual) {
            Some(columns) => columns,
            None if has("text") && has("text_a") => return Err(DataError::AmbiguousColumns { file: file.to_owned() }),
            None if has("text") => return Err(DataError::HalfPair { file: file.to_owned() }),
            None if has("text_a") => return Err(missing("text_b", PAIR_FLAGS)),
            None if has("text_b") => return Err(missing("text_a", PAIR_FLAGS)),
            None => return Err(missing("text", TEXT_FLAG)),
        };
        let usual = || need.label_columns().iter().find(|name| has(name)).unwrap_or(&need.label_columns()[0]);
        let label = named.unwrap_or_else(|| (*usual()).to_owned());
        columns.label = (!need.no_label() || has(&label)).then_some(label);
        let twice = [Some(&columns.text), columns.text_b.as_ref(), columns.label.as_ref().filter(|_| !need.no_label())];
        let twice: Vec<&String> = twice.into_iter().flatten().collect();
        if let Some(column) =
            twice.iter().enumerate().find_map(|(n, column)| twice[..n].contains(column).then_some(column))
        {
            return Err(DataError::ColumnTwice { file: file.to_owned(), column: column.to_string() });
        }
        let text_flag = if columns.text_b.is_some() { PAIR_FLAGS } else { TEXT_FLAG };
        let read = [
            (Some(&columns.text), text_flag),
            (columns.text_b.as_ref(), PAIR_FLAGS),
            (columns.label.as_ref(), LABEL_FLAG),
        ];
        for (name, flag) in read {
            if let Some(name) = name.filter(|name| !has(name)) {
                return Err(missing(name, flag));
            }
        }
        Ok(columns)
    }
}

/// Which of the headers has this name.
pub(crate) fn place_of(file: &str, headers: &[String], name: &str) -> Result<usize, DataError> {
    headers.iter().position(|header| header == name).ok_or_else(|| missing(file, headers, name, ""))
}

/// What is wrong with a header as a whole, where that is why a column of this name is not found.
fn misread(file: &str, headers: &[String], format: Format, name: &str) -> Option<DataError> {
    const DELIMITERS: [(char, &str, &str); 4] = [
        (';', "semicolons", "convert it"),
        ('\t', "tabs", "name it .tsv"),
        ('|', "bars", "convert it"),
        (',', "commas", "name it .csv"),
    ];
    let file = || file.to_owned();
    let own = match format {
        Format::JsonLines => return headers.is_empty().then(|| DataError::EmptyObject { file: file() }),
        Format::Csv => ',',
        Format::Tsv => '\t',
    };
    // The delimiter that the line names may be the file's own, which then parts it in two.
    let first = headers.first()?.to_lowercase();
    if headers.len() <= 2 && first.strip_prefix("sep=").is_some_and(|rest| rest.chars().count() <= 1) {
        return Some(DataError::SeparatorLine { file: file() });
    }
    DELIMITERS.into_iter().filter(|&(delimiter, ..)| delimiter != own).find_map(|(delimiter, found, advice)| {
        let holds = |header: &&String| {
            let mut parts = header.split(delimiter);
            header.contains(delimiter) && (headers.len() == 1 || parts.any(|part| part.trim() == name))
        };
        let column = headers.iter().find(holds)?.clone();
        Some(DataError::OtherDelimiter { file: file(), column, found, advice })
    })
}

fn missing(file: &str, headers: &[String], name: &str, flag: &'static str) -> DataError {
    let headers = || headers.iter().map(String::as_str);
    // The two texts of a pair have near names, and neither stands for the other.
    let alike = headers().filter(|header| !(is_half(name) && is_half(header)));
    DataError::MissingColumn {
        file: file.to_owned(),
        column: name.to_owned(),
        columns: listed(headers()),
        flag,
        nearest: nearest(name, alike),
    }
}

/// Whether this is the usual name of one text of a pair.
fn is_half(name: &str) -> bool {
    name == "text_a" || name == "text_b"
}
