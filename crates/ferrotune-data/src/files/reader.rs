//! [`RowReader`]: rows one at a time from any buffered stream, with the original record of each kept for echoing.
//! It knows nothing of tokens, label ids or paths.

use crate::files::delimited::Delimited;
use crate::files::json_row;
use crate::files::jsonl::{self, JsonLines, Object};
use crate::files::lines::Lines;
use crate::{Columns, DataError, Format, Need, Row, Wanted};
use std::collections::HashMap;
use std::io::BufRead;
use std::ops::Range;

/// An iterator over the rows of a stream. After an error it ends.
pub struct RowReader<R> {
    file: String,
    need: Need,
    columns: Columns,
    headers: Vec<String>,
    fields: Vec<String>,
    unlisted: Option<String>,
    object: Option<Object>,
    source: Source<R>,
    head: Range<u64>,
    span: Range<u64>,
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
    columns: Option<&Wanted>,
    need: Need,
) -> Result<RowReader<R>, DataError> {
    let file = name.to_owned();
    let (headers, records) = begin(reader, name, format)?;
    let first = records.span();
    if need.words() && format != Format::JsonLines {
        return Err(DataError::WordsNeedJson { file });
    }
    let columns = Columns::locate(name, &headers, format, columns, need)?;
    let index = |name: &String| headers.iter().position(|header| header == name);
    let source = match records {
        Records::JsonLines(objects, first) => {
            let places = headers.iter().cloned().enumerate().map(|(place, header)| (header, place)).collect();
            Source::JsonLines { objects, first: Some(first), places }
        }
        Records::Delimited(records) => {
            let text = index(&columns.text).expect("locate has found the column");
            let text_b = columns.text_b.as_ref().and_then(index);
            let label = columns.label.as_ref().and_then(index);
            Source::Delimited { records, text, text_b, label }
        }
    };
    let head = if format == Format::JsonLines { 0..0 } else { first.clone() };
    Ok(RowReader {
        file,
        need,
        columns,
        headers,
        fields: Vec::new(),
        unlisted: None,
        object: None,
        source,
        head,
        span: first,
        ended: false,
    })
}

/// The names of a stream's columns.
///
/// # Errors
/// Those of its first record, whatever its columns are.
pub(crate) fn stream_headers<R: BufRead>(reader: R, name: &str, format: Format) -> Result<Vec<String>, DataError> {
    Ok(begin(reader, name, format)?.0)
}

/// A stream of which the first record was read.
enum Records<R> {
    Delimited(Delimited<R>),
    JsonLines(JsonLines<R>, (u64, Object)),
}

impl<R: BufRead> Records<R> {
    /// The bytes of the stream that the record last read stands in.
    fn span(&self) -> Range<u64> {
        match self {
            Records::Delimited(records) => records.span(),
            Records::JsonLines(objects, _) => objects.span(),
        }
    }
}

fn begin<R: BufRead>(reader: R, name: &str, format: Format) -> Result<(Vec<String>, Records<R>), DataError> {
    let lines = Lines::new(reader, name);
    let empty = || DataError::EmptyFile { file: name.to_owned() };
    if format == Format::JsonLines {
        let mut objects = JsonLines::new(lines);
        let first = objects.read()?.ok_or_else(empty)?;
        let headers = first.1.iter().map(|(key, _)| key.clone()).collect();
        return Ok((headers, Records::JsonLines(objects, first)));
    }
    let mut records = if format == Format::Csv { Delimited::csv(lines)? } else { Delimited::tsv(lines) };
    let mut headers = Vec::new();
    records.read(&mut headers)?.ok_or_else(empty)?;
    for header in &mut headers {
        *header = header.trim().to_owned();
    }
    Ok((headers, Records::Delimited(records)))
}

impl<R: BufRead> RowReader<R> {
    /// The names of all columns; for JSON Lines the keys of the first object.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The whole record of the row last returned, one field for each header. A JSON value that is no string is given
    /// as JSON, null and a missing key as nothing; keys that the first object does not have are left out: [`RowReader::unlisted`].
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// A key of the row last returned that the first object does not have.
    pub fn unlisted(&self) -> Option<&str> {
        self.unlisted.as_deref()
    }

    /// Keys and values of the row last returned, where rows are objects.
    pub fn object(&self) -> Option<&[(String, serde_json::Value)]> {
        self.object.as_deref()
    }

    /// What stands between two fields of a table; a comma for JSON Lines.
    pub fn delimiter(&self) -> char {
        match &self.source {
            Source::Delimited { records, .. } => records.delimiter(),
            Source::JsonLines { .. } => ',',
        }
    }

    /// The bytes of the stream that the header stands in, without its line end; none in JSON Lines.
    pub fn head(&self) -> Range<u64> {
        self.head.clone()
    }

    /// The bytes of the stream that the row last returned stands in, without the line end after it. What is between two rows, or before
    /// the first, is line ends, blank lines and perhaps a byte order mark.
    pub fn span(&self) -> Range<u64> {
        self.span.clone()
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
                self.span = records.span();
                let (got, expected) = (self.fields.len(), self.headers.len());
                if got != expected {
                    return Err(DataError::FieldCount { file: file.clone(), line, got, expected });
                }
                let field = |n: usize| self.fields[n].clone();
                Row { text: field(*text), text_b: text_b.map(field), words: None, label: label.map(field), line }
            }
            Source::JsonLines { objects, first, places } => {
                let next = first.take().map_or_else(|| objects.read(), |object| Ok(Some(object)))?;
                let Some((line, object)) = next else { return Ok(None) };
                self.span = objects.span();
                let row = json_row::read(file, line, &object, &self.columns, self.need)?;
                self.fields.clear();
                self.fields.resize(self.headers.len(), String::new());
                self.unlisted = None;
                for (key, value) in &object {
                    match places.get(key) {
                        Some(&place) => self.fields[place] = jsonl::plain(value),
                        None => self.unlisted = Some(key.clone()),
                    }
                }
                self.object = Some(object);
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
