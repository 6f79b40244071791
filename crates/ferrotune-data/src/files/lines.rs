//! Physical lines of a byte stream: UTF-8 checked, NUL refused, byte order mark dropped, LF, CRLF and CR alike.
//! It knows nothing of fields, quotes or JSON.

use crate::DataError;
use std::io::{self, BufRead};
use std::ops::Range;

/// A field (one text, one label) may have at most this many bytes: 1 MiB.
pub const MAX_FIELD_BYTES: usize = 1 << 20;
/// A record (all fields of one row) may have at most this many bytes: 8 MiB. It bounds the memory that a stream
/// without line ends can take.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

/// The byte order mark of UTF-8.
const UTF_8_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Byte order marks of encodings that are refused. UTF-32LE starts like UTF-16LE, so it comes first.
const FOREIGN_MARKS: [(&[u8], &str); 4] = [
    (&[0xFF, 0xFE, 0, 0], "UTF-32LE"),
    (&[0, 0, 0xFE, 0xFF], "UTF-32BE"),
    (&[0xFF, 0xFE], "UTF-16LE"),
    (&[0xFE, 0xFF], "UTF-16BE"),
];

/// Reads one line at a time.
pub(crate) struct Lines<R> {
    reader: R,
    /// What messages call the stream: a path, or "standard input".
    pub(crate) file: String,
    line: u64,
    buffer: Vec<u8>,
    /// The last line ended in CR; a following LF belongs to that end.
    after_carriage_return: bool,
    /// Bytes of the stream that were taken.
    taken: u64,
    /// The byte of the stream at which the line last read begins.
    start: u64,
    /// The next line lies in the buffer already.
    held: bool,
}

/// One line.
pub(crate) struct Line<'a> {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// The byte of the stream at which its text begins, after a byte order mark.
    pub(crate) start: u64,
    /// The line without its end.
    pub(crate) text: &'a str,
}

impl Line<'_> {
    /// The bytes of the stream that the text stands in.
    pub(crate) fn span(&self) -> Range<u64> {
        self.start..self.start + self.text.len() as u64
    }
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R, file: &str) -> Self {
        Lines {
            reader,
            file: file.to_owned(),
            line: 0,
            buffer: Vec::new(),
            after_carriage_return: false,
            taken: 0,
            start: 0,
            held: false,
        }
    }

    /// The bytes of the next line without a byte order mark; the line is given all the same. `None` at the end of the stream.
    pub(crate) fn peek(&mut self) -> Result<Option<&[u8]>, DataError> {
        self.held = self.hold()?;
        let line = self.buffer.strip_prefix(UTF_8_MARK).unwrap_or(&self.buffer);
        Ok(self.held.then_some(line))
    }

    /// Has the next line in the buffer; false at the end of the stream.
    fn hold(&mut self) -> Result<bool, DataError> {
        if self.held {
            return Ok(true);
        }
        self.buffer.clear();
        self.fill(self.line + 1)
    }

    /// The next line, or `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, DataError> {
        if !self.hold()? {
            return Ok(None);
        }
        self.held = false;
        let line = self.line + 1;
        self.line = line;
        let file = || self.file.clone();
        let mut bytes = self.buffer.as_slice();
        if line == 1 {
            if let Some(&(_, encoding)) = FOREIGN_MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)) {
                return Err(DataError::Encoding { file: file(), encoding });
            }
            bytes = bytes.strip_prefix(UTF_8_MARK).unwrap_or(bytes);
            self.start += (self.buffer.len() - bytes.len()) as u64;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                return Err(DataError::InvalidUtf8 { file: file(), line, column: column_after(&valid) });
            }
        };
        match text.find('\0') {
            Some(at) => Err(DataError::Nul { file: file(), line, column: column_after(&text[..at]) }),
            None => Ok(Some(Line { number: line, start: self.start, text })),
        }
    }

    /// Reads up to and over the next line end into `buffer`; false at the end of the stream.
    fn fill(&mut self, line: u64) -> Result<bool, DataError> {
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(DataError::of_stream(&self.file, line - 1, source)),
            };
            if chunk.is_empty() {
                return Ok(!self.buffer.is_empty());
            }
            let skipped = usize::from(std::mem::take(&mut self.after_carriage_return) && chunk[0] == b'\n');
            let rest = &chunk[skipped..];
            let end = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r');
            let taken = end.unwrap_or(rest.len());
            if self.buffer.is_empty() {
                self.start = self.taken + skipped as u64;
            }
            self.buffer.extend_from_slice(&rest[..taken]);
            self.after_carriage_return = end.is_some_and(|end| rest[end] == b'\r');
            let consumed = skipped + taken + usize::from(end.is_some());
            self.reader.consume(consumed);
            self.taken += consumed as u64;
            if self.buffer.len() > MAX_RECORD_BYTES {
                return Err(DataError::TooLarge {
                    file: self.file.clone(),
                    line,
                    what: "record",
                    limit: MAX_RECORD_BYTES,
                });
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

/// The column, in characters from 1, of what follows `text` on its line.
pub(crate) fn column_after(text: &str) -> u64 {
    text.chars().count() as u64 + 1
}
