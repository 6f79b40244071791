//! Labelled text from files to ragged batches of token ids: strict readers of CSV, TSV, JSON Lines and Parquet, packed or in folders, label maps,
//! tokenizing with the `tokenizers` crate, shuffling, batching, splitting, and an audit of the splits.
//!
//! It knows no tensor, no model and no other ferrotune crate; it prints nothing and reads no environment variable.
//! Everything that comes from outside (a file, a pipe, a `tokenizer.json`) is checked, and a fault is a [`DataError`]
//! that names the file and the line.
//!
//! ```
//! use ferrotune_data::{Format, Need, shuffled, stream};
//!
//! let file = "text,label\ngood,pos\n\"bad, very\",neg\n";
//! let rows: Vec<_> = stream(file.as_bytes(), "memory", Format::Csv, Need::Labels)?.collect::<Result<_, _>>()?;
//! assert_eq!(rows[1].text, "bad, very");
//! assert_eq!(rows[1].line, 3);
//! let order = shuffled(rows.len(), 0, 1);
//! assert_eq!(order.chunks(32).count(), 1);
//! # Ok::<(), ferrotune_data::DataError>(())
//! ```
#![forbid(unsafe_code)]

mod audit;
mod batch;
mod error;
mod files;
mod labels;
mod names;
mod order;
mod split;
mod tf_idf;
mod tokenizer;
mod words;

#[cfg(test)]
mod tests;

pub use audit::{
    Audit, AuditRows, AuditSettings, Conflict, Finding, LabelLists, Lengths, Likeness, LookAlike, Match, MissingWord,
    Oddity, Overlap, Place, SIMILAR, SameNumber, SplitAudit, TokenLengths, audit, normalised, repaired, rows_at,
    wording,
};
pub use batch::{Batch, Encoded};
pub use error::{DataError, ErrorKind};
pub use files::columns::{Columns, Wanted};
pub use files::lines::{MAX_FIELD_BYTES, MAX_RECORD_BYTES};
pub use files::open::{LeftOut, Opened, open, unpacked};
pub use files::reader::{RowReader, stream, stream_with};
pub use files::records::Records;
pub use files::source::{Part, Source};
pub use files::table::{Format, MAX_FILE_BYTES, Need, Row, Table, headers, read_table, read_table_with};
pub use files::texts::read_texts;
pub use labels::label_sets::{encode_label_sets, label_set};
pub use labels::numbers::real_numbers;
pub use labels::scores::{encode_scores, parse_score};
pub use labels::tags::{Tag, Tagging, encode_tags, row_tags};
pub use labels::{Labels, encode_labels};
pub use order::{balanced, coins, resampled, shuffled};
pub use split::hold_out::{held_out_rows, hold_out};
pub use split::subset::{subset, subset_rows};
pub use split::{SplitError, joined, part_sizes, split};
pub use tf_idf::{SparseRows, TfIdf};
pub use tokenizer::long_texts::LongTexts;
pub use tokenizer::masking::{Hidden, MASKED_SHARE, Masking};
pub use tokenizer::sentence_piece::{tokenizer_files, tokenizer_to_save};
pub use tokenizer::{MAX_TOKENIZER_BYTES, Tokenizer};
pub use words::Words;
