//! [`Records`]: a whole file with the bytes of each row, to be written again in parts without a change (as text, where it is compressed).
//! It knows nothing of what the parts are.

use crate::files::columns::place_of;
use crate::names::listed;
use crate::{DataError, Need, Opened, Source, Table, Wanted, stream_with};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

/// The rows of a file, each with all its columns as they were written: quotes, blanks and line ends in fields too.
pub struct Records {
    /// The rows as every reader gives them.
    pub table: Table,
    bytes: Vec<u8>,
    /// The header with what stands before it, such as a byte order mark; nothing in JSON Lines.
    head: Range<usize>,
    spans: Vec<Range<usize>>,
    /// What ends the first line of the file, and each line that is written.
    line_end: &'static [u8],
    column: Option<Vec<String>>,
}

impl Records {
    /// Reads a whole file, in the format of its extension; of Parquet the rows as JSON Lines. The fields of the column `kept` are kept, if one is named; of JSON Lines as the
    /// text that a table would have, with nothing for null and for a missing key.
    ///
    /// # Errors
    /// As [`read_table_with`](crate::read_table_with); no column `kept`; a Parquet file with columns that JSON Lines cannot hold.
    pub fn read(path: &Path, columns: Option<&Wanted>, need: Need, kept: Option<&str>) -> Result<Records, DataError> {
        Records::of(&Source::file(path), columns, need, kept)
    }

    /// The same of all files of a part.
    ///
    /// # Errors
    /// As [`Records::read`].
    pub fn of(source: &Source, columns: Option<&Wanted>, need: Need, kept: Option<&str>) -> Result<Records, DataError> {
        let (path, file) = (&source.name, source.name.display().to_string());
        let Opened { reader, format, left_out } = source.open()?;
        if !left_out.is_empty() {
            let columns = listed(left_out.iter().map(|left| left.column.as_str()));
            return Err(DataError::ColumnsLeftOut { file, columns });
        }
        let (mut reader, mut bytes) = (reader, Vec::new());
        if let Err(source) = reader.read_to_end(&mut bytes) {
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            return Err(DataError::of_stream(&file, lines, source));
        }
        let mut reader = stream_with(bytes.as_slice(), &file, format, columns, need)?;
        let place = kept.map(|name| place_of(&file, reader.headers(), name)).transpose()?;
        let head = 0..as_place(reader.head()).end;
        let (mut rows, mut spans, mut column) = (Vec::new(), Vec::new(), place.map(|_| Vec::new()));
        while let Some(row) = reader.next() {
            rows.push(row?);
            spans.push(as_place(reader.span()));
            if let (Some(column), Some(place)) = (&mut column, place) {
                column.push(reader.fields()[place].clone());
            }
        }
        let pair = reader.pair();
        let Some(first) = spans.first() else { return Err(DataError::NoRows { file }) };
        let after = if head.is_empty() { first.end } else { head.end };
        let line_end: &[u8] = match bytes[after..] {
            [b'\r', b'\n', ..] => b"\r\n",
            [b'\r', ..] => b"\r",
            _ => b"\n",
        };
        Ok(Records { table: Table { path: path.to_owned(), pair, rows }, bytes, head, spans, line_end, column })
    }

    /// The fields of the column that was to be kept, one for each row.
    pub fn column(&self) -> Option<&[String]> {
        self.column.as_deref()
    }

    /// Writes the header and these rows, each as it stands in the file. All lines end as the first line of the file does.
    ///
    /// # Errors
    /// Those of the writer.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn write(&self, rows: impl IntoIterator<Item = usize>, to: &mut impl Write) -> io::Result<()> {
        let head = (!self.head.is_empty()).then(|| self.head.clone());
        for span in head.into_iter().chain(rows.into_iter().map(|row| self.spans[row].clone())) {
            to.write_all(&self.bytes[span])?;
            to.write_all(self.line_end)?;
        }
        Ok(())
    }
}

/// A place in a stream that lies in memory.
fn as_place(span: Range<u64>) -> Range<usize> {
    span.start as usize..span.end as usize
}
