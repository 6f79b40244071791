//! [`RowReader`]: rows one at a time from any buffered stream, with the original record of each kept for echoing.
//! It knows nothing of tokens, label ids or paths.

use crate::delimited::Delimited;
use crate::jsonl::{self, JsonLines, Object};
use crate::lines::{Lines, MAX_FIELD_BYTES};
use crate::{Columns, DataError, Format, Need, Row};
use serde_json::Value;
use std::collections::HashMap;
use std::io::BufRead;

/// An iterator over the rows of a stream. After an error it ends.
pub struct RowReader<R> {
    file: String,
    need: Need,
    columns: Columns,
    headers: Vec<String>,
    fields: Vec<String>,
    source: Source<R>,
    ended: bool,
}

enum Source<R> {
    Delimited { records: Delimited<R>, text: usize, text_b: Option<usize>, label: Option<usize> },
    JsonLines { objects: JsonLines<R>, first: Option<(u64, Object)>, places: HashMap<String, usize> },
}

/// Streams rows with the usual columns. `name` is what messages call the stream.
///
/// # Errors
/// Those of the header; each row's own come with the row. A stream without even a header is [`DataError::EmptyFile`].
pub fn stream<R: BufRead>(reader: R, name: &str, format: Format, need: Need) -> Result<RowReader<R>, DataError> {
    stream_with(reader, name, format, None, need)
}

/// Streams rows; `columns` overrides the usual names.
///
/// # Errors
/// As [`stream`].
pub fn stream_with<R: BufRead>(
    reader: R,
    name: &str,
    format: Format,
    columns: Option<&Columns>,
    need: Need,
) -> Result<RowReader<R>, DataError> {
    let file = name.to_owned();
    let lines = Lines::new(reader, name);
    if format == Format::JsonLines {
        let mut objects = JsonLines { lines };
        let Some(first) = objects.read()? else { return Err(DataError::EmptyFile { file }) };
        let headers: Vec<String> = first.1.iter().map(|(key, _)| key.clone()).collect();
        let columns = Columns::locate(name, &headers, columns, need)?;
        let places = headers.iter().cloned().enumerate().map(|(place, header)| (header, place)).collect();
        let source = Source::JsonLines { objects, first: Some(first), places };
        return Ok(RowReader { file, need, columns, headers, fields: Vec::new(), source, ended: false });
    }
    let mut records = if format == Format::Csv { Delimited::csv(lines) } else { Delimited::tsv(lines) };
    let mut headers = Vec::new();
    if records.read(&mut headers)?.is_none() {
        return Err(DataError::EmptyFile { file });
    }
    for header in &mut headers {
        *header = header.trim().to_owned();
    }
    let columns = Columns::locate(name, &headers, columns, need)?;
    let index = |name: &String| headers.iter().position(|header| header == name);
    let text = index(&columns.text).expect("locate has found the column");
    let text_b = columns.text_b.as_ref().and_then(index);
    let label = columns.label.as_ref().and_then(index);
    let source = Source::Delimited { records, text, text_b, label };
    Ok(RowReader { file, need, columns, headers, fields: Vec::new(), source, ended: false })
}

impl<R: BufRead> RowReader<R> {
    /// The names of all columns; for JSON Lines the keys of the first object.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The whole record of the row last returned, one field for each header. A JSON value that is no string is given
    /// as JSON, null and a missing key as nothing; keys that the first object does not have are left out.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The columns that are read.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Whether each row has two texts.
    pub fn pair(&self) -> bool {
        self.columns.text_b.is_some()
    }

    fn read(&mut self) -> Result<Option<Row>, DataError> {
        let file = &self.file;
        let row = match &mut self.source {
            Source::Delimited { records, text, text_b, label } => {
                let Some(line) = records.read(&mut self.fields)? else { return Ok(None) };
                let (got, expected) = (self.fields.len(), self.headers.len());
                if got != expected {
                    return Err(DataError::FieldCount { file: file.clone(), line, got, expected });
                }
                let field = |n: usize| self.fields[n].clone();
                Row { text: field(*text), text_b: text_b.map(field), label: label.map(field), line }
            }
            Source::JsonLines { objects, first, places } => {
                let next = first.take().map_or_else(|| objects.read(), |object| Ok(Some(object)))?;
                let Some((line, object)) = next else { return Ok(None) };
                let row = json_row(file, line, &object, &self.columns, self.need)?;
                self.fields.clear();
                self.fields.resize(self.headers.len(), String::new());
                for (key, value) in &object {
                    if let Some(&place) = places.get(key) {
                        self.fields[place] = jsonl::plain(value);
                    }
                }
                row
            }
        };
        self.with_label_checked(row).map(Some)
    }

    /// Trims the label; an empty one is refused, or dropped where none is needed.
    fn with_label_checked(&self, mut row: Row) -> Result<Row, DataError> {
        let (file, line) = (|| self.file.clone(), row.line);
        row.label = row.label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        match &row.label {
            Some(label) if label.contains(['\n', '\r']) => Err(DataError::LabelSpansLines { file: file(), line }),
            None if matches!(self.need, Need::Labels | Need::Scores) => {
                Err(DataError::EmptyLabel { file: file(), line })
            }
            _ => Ok(row),
        }
    }
}

impl<R: BufRead> Iterator for RowReader<R> {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.read().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

/// The row that a JSON object holds. A label may be a string, an integer or a boolean; a set of labels also an array of those, a score any
/// number; null counts as empty.
fn json_row(file: &str, line: u64, object: &Object, columns: &Columns, need: Need) -> Result<Row, DataError> {
    let wrong_type = |key: &str, value: &Value, expected| DataError::JsonType {
        file: file.to_owned(),
        line,
        key: key.to_owned(),
        found: jsonl::type_name(value),
        expected,
    };
    let checked = |key: &str, text: String| {
        if text.contains('\0') {
            return Err(DataError::JsonNul { file: file.to_owned(), line, key: key.to_owned() });
        }
        if text.len() > MAX_FIELD_BYTES {
            return Err(DataError::TooLarge { file: file.to_owned(), line, what: "field", limit: MAX_FIELD_BYTES });
        }
        Ok(text)
    };
    let missing = |key: &str| DataError::JsonMissingKey { file: file.to_owned(), line, key: key.to_owned() };
    let text = |key: &String| match jsonl::get(object, key) {
        Some(Value::String(text)) => checked(key, text.clone()),
        Some(other) => Err(wrong_type(key, other, "a string")),
        None => Err(missing(key)),
    };
    let name = |key: &String, value: &Value| match value {
        Value::Array(_) | Value::Object(_) => Err(wrong_type(key, value, "a string, an integer or a boolean")),
        Value::Number(number) if number.is_f64() => Err(wrong_type(key, value, "a string, an integer or a boolean")),
        _ => checked(key, jsonl::plain(value)),
    };
    let label = |key: &String| match (jsonl::get(object, key), need) {
        (Some(Value::Array(values)), Need::LabelSets { separator }) => {
            let names: Vec<String> = values.iter().map(|value| name(key, value)).collect::<Result<_, _>>()?;
            if names.iter().any(|name| name.trim().is_empty()) {
                return Err(DataError::EmptyLabelInSet { file: file.to_owned(), line, separator });
            }
            if let Some(label) = names.iter().find(|name| name.contains(separator)) {
                let (file, label) = (file.to_owned(), label.clone());
                return Err(DataError::SeparatorInLabel { file, line, label, separator });
            }
            Ok(Some(names.join(&separator.to_string())))
        }
        (Some(value @ Value::Number(_)), Need::Scores) => checked(key, jsonl::plain(value)).map(Some),
        // Not needed and only shown: anything is fine.
        (Some(value), Need::TextOnly) => checked(key, jsonl::plain(value)).map(Some),
        (Some(value), _) => name(key, value).map(Some),
        (None, Need::TextOnly) => Ok(None),
        (None, _) => Err(missing(key)),
    };
    Ok(Row {
        text: text(&columns.text)?,
        text_b: columns.text_b.as_ref().map(text).transpose()?,
        label: columns.label.as_ref().map(label).transpose()?.flatten(),
        line,
    })
}
