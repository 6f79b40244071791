//! Tests of the whole crate, one file for each concern, each behind one `check` helper.

mod audited_texts;
mod auditing;
mod batching;
mod compression;
mod holding_out;
mod joining;
mod kinds;
mod labelling;
mod malformed;
mod malformed_tokenizer;
mod masking;
mod parquet;
mod parquet_bytes;
mod reading;
mod records;
mod splitting;
mod tokenizing;
mod words;

use crate::{DataError, Format, Need, Row, Table, stream};

/// The rows that a stream of these bytes gives.
fn rows_of(bytes: &[u8], format: Format, need: Need) -> Result<Vec<Row>, DataError> {
    stream(bytes, "f", format, need)?.collect()
}

/// A table as if read from `path`.
fn table(path: &str, csv: &str) -> Table {
    let mut reader = stream(csv.as_bytes(), path, Format::Csv, Need::TextOnly).unwrap();
    let rows = reader.by_ref().collect::<Result<_, _>>().unwrap();
    Table { path: path.into(), pair: reader.pair(), rows }
}

fn row(text: &str, text_b: Option<&str>, label: Option<&str>, line: u64) -> Row {
    Row { text: text.into(), text_b: text_b.map(Into::into), words: None, label: label.map(Into::into), line }
}
