//! [`Table`]: a whole data file in memory, and what a row, a format and a reader's need are.
//! It knows nothing of tokens or of how records are parsed.

use crate::files::columns::place_of;
use crate::files::open::{Opened, has_extension, open, without_compression};
use crate::files::reader::stream_headers;
use crate::{DataError, Wanted};
use std::path::{Path, PathBuf};

/// A data file may have at most this many bytes, and so may what it holds in compressed form: 4 GiB. Larger ones would not fit the 32-bit token offsets either.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// One example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The text, as written in the file; it may be empty. Of words it is them joined by blanks.
    pub text: String,
    /// The second text, in every row of a pair task.
    pub text_b: Option<String>,
    /// The words, in every row of a task that tags them.
    pub words: Option<Vec<String>>,
    /// The label by name, several names joined by the separator, a number, or the words' tags joined by blanks; trimmed and never empty.
    pub label: Option<String>,
    /// The line, from 1, on which the record starts.
    pub line: u64,
}

/// All rows of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Where the rows came from.
    pub path: PathBuf,
    /// Whether each row has two texts.
    pub pair: bool,
    /// The rows in file order; at least one.
    pub rows: Vec<Row>,
}

impl Table {
    /// Takes out the rows that are marked, as a table of the same file.
    ///
    /// # Panics
    /// When there is not one mark for each row.
    pub fn take_out(&mut self, marked: &[bool]) -> Table {
        assert_eq!(marked.len(), self.rows.len(), "Table::take_out: marks for {} rows", marked.len());
        let mut marks = marked.iter();
        let rows = std::mem::take(&mut self.rows);
        let (out, rest) = rows.into_iter().partition(|_| *marks.next().expect("one for each row"));
        self.rows = rest;
        Table { path: self.path.clone(), pair: self.pair, rows: out }
    }
}

/// How a data file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with a header line.
    Csv,
    /// Tab-separated, with a header line.
    Tsv,
    /// One JSON object a line.
    JsonLines,
}

impl Format {
    /// The extension that a file of the format usually has.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "jsonl",
        }
    }

    /// The format that the extension says: `.csv`, `.tsv`, `.jsonl` or `.ndjson`, in any case, also before `.gz` or `.zst`. The rows of
    /// `.parquet` are read as JSON Lines.
    pub fn from_path(path: &Path) -> Result<Format, DataError> {
        let plain = without_compression(path);
        let named = |extension| has_extension(&plain, extension);
        match () {
            () if named("csv") => Ok(Format::Csv),
            () if named("tsv") => Ok(Format::Tsv),
            () if ["jsonl", "ndjson", "parquet"].into_iter().any(named) => Ok(Format::JsonLines),
            () => Err(DataError::UnknownFormat { file: path.display().to_string() }),
        }
    }
}

/// What the caller needs from each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A label in every row.
    Labels,
    /// Any number of labels in every row, joined by this character; in JSON Lines also an array of them.
    LabelSets {
        /// Stands between two names, and in none.
        separator: char,
    },
    /// A number in every row.
    Scores,
    /// Text; a label is read where it is there.
    TextOnly,
    /// Words with a tag for each, both arrays of strings in JSON Lines.
    Tags,
    /// Words; tags are read where they are there.
    WordsOnly,
}

impl Need {
    /// The columns that hold the label unless others are named; the first that a file has counts.
    pub fn label_columns(self) -> &'static [&'static str] {
        match self {
            Need::Labels | Need::TextOnly => &["label"],
            Need::LabelSets { .. } => &["labels", "label"],
            Need::Scores => &["score", "label"],
            Need::Tags | Need::WordsOnly => &["tags"],
        }
    }

    /// The column that holds the text, or the words, unless another is named.
    pub fn text_column(self) -> &'static str {
        if self.words() { "tokens" } else { "text" }
    }

    /// Whether rows are words and not texts.
    pub fn words(self) -> bool {
        matches!(self, Need::Tags | Need::WordsOnly)
    }

    /// Whether a row without a label will do.
    pub(crate) fn no_label(self) -> bool {
        matches!(self, Need::TextOnly | Need::WordsOnly)
    }
}

/// Reads a whole file with the usual columns, in the format of its extension.
///
/// # Errors
/// Any fault of the file, with its line. A file with a header and no rows is [`DataError::NoRows`].
pub fn read_table(path: &Path, need: Need) -> Result<Table, DataError> {
    read_table_with(path, None, None, need)
}

/// Reads a whole file; `format` and `columns` override the extension and the usual names.
///
/// # Errors
/// As [`read_table`].
pub fn read_table_with(
    path: &Path,
    format: Option<Format>,
    columns: Option<&Wanted>,
    need: Need,
) -> Result<Table, DataError> {
    read_opened(open(path, format)?, path, columns, need)
}

/// Reads all rows of what was opened under this name.
pub(crate) fn read_opened(
    opened: Opened,
    path: &Path,
    columns: Option<&Wanted>,
    need: Need,
) -> Result<Table, DataError> {
    Ok(read_keeping(opened, path, columns, need, &[])?.0)
}

/// The same, and of each column that is named in `kept` its fields, one for each row.
pub(crate) fn read_keeping(
    opened: Opened,
    path: &Path,
    columns: Option<&Wanted>,
    need: Need,
    kept: &[String],
) -> Result<(Table, Vec<Vec<String>>), DataError> {
    let file = path.display().to_string();
    let mut reader = opened.rows(&file, columns, need)?;
    let places = kept.iter().map(|name| place_of(&file, reader.headers(), name)).collect::<Result<Vec<_>, _>>()?;
    let (mut rows, mut fields) = (Vec::new(), vec![Vec::new(); kept.len()]);
    while let Some(row) = reader.next() {
        rows.push(row?);
        for (fields, &place) in fields.iter_mut().zip(&places) {
            fields.push(reader.fields()[place].clone());
        }
    }
    if rows.is_empty() {
        return Err(DataError::NoRows { file });
    }
    Ok((Table { path: path.to_owned(), pair: reader.pair(), rows }, fields))
}

/// The names of a file's columns, whatever they are; for JSON Lines the keys of the first object.
///
/// # Errors
/// As [`read_table`], of the first line alone.
pub fn headers(path: &Path) -> Result<Vec<String>, DataError> {
    let opened = open(path, None)?;
    stream_headers(opened.reader, &path.display().to_string(), opened.format)
}
