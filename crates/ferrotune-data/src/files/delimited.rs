//! Records of CSV and TSV under strict quoting, from [`Lines`]. It knows nothing of headers, texts or labels.
//!
//! The grammar is RFC 4180 with nothing forgiven. A quote opens a quoted field only as its first character; inside, a
//! doubled quote is one quote, and delimiters and line ends are text; after the closing quote only a delimiter, a line
//! end or the end of the file may follow. Empty lines between records are skipped. Line ends inside a quoted field
//! become `\n`, so that a file converted between LF, CRLF and CR gives the same rows.
//!
//! CSV refuses a quote inside an unquoted field. TSV takes it as text, since most TSV files are written without any
//! quoting; but a TSV field that starts with a quote follows the same strict rules as in CSV, because spreadsheets
//! write such fields. A file without quoting whose field starts with a quote is therefore an error, never a guess.

use crate::DataError;
use crate::files::lines::{Lines, MAX_FIELD_BYTES, MAX_RECORD_BYTES, column_after};
use std::io::BufRead;
use std::ops::Range;

/// Reads one record at a time.
pub(crate) struct Delimited<R> {
    lines: Lines<R>,
    /// An ASCII character: `,`, `;` or tab.
    delimiter: u8,
    /// Whether a quote inside an unquoted field is text.
    bare_quotes: bool,
    file: String,
    /// Where in the stream the record last read stands, without the line end after it.
    span: Range<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    QuoteClosed,
}

impl<R: BufRead> Delimited<R> {
    /// CSV, parted by semicolons where the first line has these outside of quotes and no comma: as spreadsheets write it where the comma is for
    /// decimals. By commas it would have one column, and no row has its text and its label in one.
    pub(crate) fn csv(mut lines: Lines<R>) -> Result<Self, DataError> {
        while lines.peek()?.is_some_and(<[u8]>::is_empty) {
            lines.next()?;
        }
        let header = lines.peek()?.unwrap_or_default();
        let has = |delimiter: u8| {
            let mut quoted = false;
            header.iter().any(|&byte| {
                quoted ^= byte == b'"';
                byte == delimiter && !quoted
            })
        };
        let delimiter = if has(b';') && !has(b',') { b';' } else { b',' };
        Ok(Delimited { file: lines.file.clone(), lines, delimiter, bare_quotes: false, span: 0..0 })
    }

    /// What stands between fields.
    pub(crate) fn delimiter(&self) -> char {
        char::from(self.delimiter)
    }

    pub(crate) fn tsv(lines: Lines<R>) -> Self {
        Delimited { file: lines.file.clone(), lines, delimiter: b'\t', bare_quotes: true, span: 0..0 }
    }

    /// The bytes of the stream that the record last read stands in, without the line end after it.
    pub(crate) fn span(&self) -> Range<u64> {
        self.span.clone()
    }

    /// Reads the next record into `fields` and returns the line on which it starts, or `None` at the end.
    pub(crate) fn read(&mut self, fields: &mut Vec<String>) -> Result<Option<u64>, DataError> {
        fields.clear();
        let Self { lines, delimiter, bare_quotes, file, span } = self;
        let (delimiter, bare_quotes) = (*delimiter, *bare_quotes);
        let mut state = State::FieldStart;
        let mut field = String::new();
        let mut start = 0;
        let mut opened = 0;
        let mut record_bytes = 0;
        loop {
            let Some(next) = lines.next()? else {
                return match state {
                    State::Quoted => Err(DataError::UnclosedQuote { file: file.clone(), line: opened }),
                    _ => Ok(None),
                };
            };
            let (line, text) = (next.number, next.text);
            if state == State::Quoted {
                field.push('\n');
            } else if text.is_empty() {
                continue;
            } else {
                start = line;
                span.start = next.start;
            }
            span.end = next.span().end;
            record_bytes += text.len() + 1;
            let bytes = text.as_bytes();
            let column = |at: usize| column_after(&text[..at]);
            let mut at = 0;
            loop {
                match state {
                    State::FieldStart if bytes.get(at) == Some(&b'"') => {
                        (state, opened) = (State::Quoted, line);
                        at += 1;
                    }
                    State::FieldStart => state = State::Unquoted,
                    State::Unquoted => {
                        let special = |&byte: &u8| byte == delimiter || (byte == b'"' && !bare_quotes);
                        let end = bytes[at..].iter().position(special).map_or(bytes.len(), |n| at + n);
                        if bytes.get(end) == Some(&b'"') {
                            return Err(DataError::StrayQuote { file: file.clone(), line, column: column(end) });
                        }
                        field.push_str(&text[at..end]);
                        at = end;
                        // What ends an unquoted field is what may follow a closing quote: a delimiter or the line end.
                        state = State::QuoteClosed;
                    }
                    State::Quoted => match bytes[at..].iter().position(|&byte| byte == b'"') {
                        None => {
                            field.push_str(&text[at..]);
                            break;
                        }
                        Some(n) => {
                            field.push_str(&text[at..at + n]);
                            at += n + 1;
                            if bytes.get(at) == Some(&b'"') {
                                field.push('"');
                                at += 1;
                            } else {
                                state = State::QuoteClosed;
                            }
                        }
                    },
                    State::QuoteClosed => {
                        if at < bytes.len() && bytes[at] != delimiter {
                            let column = column(at);
                            return Err(DataError::TextAfterQuote { file: file.clone(), line, column, opened });
                        }
                        check_size(file, start, "field", field.len(), MAX_FIELD_BYTES)?;
                        fields.push(std::mem::take(&mut field));
                        if at == bytes.len() {
                            return Ok(Some(start));
                        }
                        state = State::FieldStart;
                        at += 1;
                    }
                }
            }
            check_size(file, opened, "field", field.len(), MAX_FIELD_BYTES)?;
            check_size(file, start, "record", record_bytes, MAX_RECORD_BYTES)?;
        }
    }
}

fn check_size(file: &str, line: u64, what: &'static str, bytes: usize, limit: usize) -> Result<(), DataError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(DataError::TooLarge { file: file.to_owned(), line, what, limit })
}
