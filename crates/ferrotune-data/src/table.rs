//! [`Table`]: a whole data file in memory, and what a row, a format and a reader's need are.
//! It knows nothing of tokens or of how records are parsed.

use crate::reader::stream_headers;
use crate::{Columns, DataError, stream_with};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A data file may have at most this many bytes: 4 GiB. Larger ones would not fit the 32-bit token offsets either.
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
    /// The format that the extension says: `.csv`, `.tsv`, `.jsonl` or `.ndjson`, in any case.
    pub fn from_path(path: &Path) -> Result<Format, DataError> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("csv") => Ok(Format::Csv),
            Some("tsv") => Ok(Format::Tsv),
            Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
            _ => Err(DataError::UnknownFormat { file: path.display().to_string() }),
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
    columns: Option<&Columns>,
    need: Need,
) -> Result<Table, DataError> {
    let (reader, format) = open(path, format)?;
    let mut reader = stream_with(reader, &path.display().to_string(), format, columns, need)?;
    let rows = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    if rows.is_empty() {
        return Err(DataError::NoRows { file: path.display().to_string() });
    }
    Ok(Table { path: path.to_owned(), pair: reader.pair(), rows })
}

/// The names of a file's columns, whatever they are; for JSON Lines the keys of the first object.
///
/// # Errors
/// As [`read_table`], of the first line alone.
pub fn headers(path: &Path) -> Result<Vec<String>, DataError> {
    let (reader, format) = open(path, None)?;
    stream_headers(reader, &path.display().to_string(), format)
}

pub(crate) fn open(path: &Path, format: Option<Format>) -> Result<(BufReader<File>, Format), DataError> {
    let reader = open_file(path)?;
    let format = format.map_or_else(|| Format::from_path(path), Ok)?;
    Ok((reader, format))
}

/// Opens a data file, if it is a file of a size that is read.
pub(crate) fn open_file(path: &Path) -> Result<BufReader<File>, DataError> {
    let file = path.display().to_string();
    let io = |source| DataError::Io { file: file.clone(), source };
    // Looked at before opening: opening a named pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(DataError::NotAFile { file });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(DataError::FileTooLarge { file, bytes: metadata.len(), limit: MAX_FILE_BYTES });
    }
    Ok(BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?))
}
