//! Texts without labels: the lines of a `.txt` file, or the text column of a table. It knows nothing of tokens.

use crate::files::lines::{Line, Lines};
use crate::files::open::{has_extension, open_text, without_compression};
use crate::{DataError, Need, Row, Table, Wanted, read_table_with};
use std::path::Path;

/// Reads texts: of a `.txt` file one from each line that is not blank, else the column `text` (or the one that is named) of a table.
///
/// # Errors
/// As [`read_table_with`]; a table of pairs, unless one of its columns is named.
pub fn read_texts(path: &Path, column: Option<&str>) -> Result<Table, DataError> {
    let is_plain = has_extension(&without_compression(path), "txt");
    if !is_plain {
        let column = column.unwrap_or("text").to_owned();
        let columns = Wanted { text: Some(column), ..Wanted::default() };
        return read_table_with(path, None, Some(&columns), Need::TextOnly);
    }
    let file = path.display().to_string();
    if let Some(column) = column {
        return Err(DataError::NoColumns { file, column: column.to_owned() });
    }
    let mut lines = Lines::new(open_text(path)?, &file);
    let mut rows = Vec::new();
    while let Some(Line { number: line, text, .. }) = lines.next()? {
        if !text.trim().is_empty() {
            rows.push(Row { text: text.to_owned(), text_b: None, words: None, label: None, line });
        }
    }
    match rows.is_empty() {
        true => Err(DataError::NoText { file }),
        false => Ok(Table { path: path.to_owned(), pair: false, rows }),
    }
}
