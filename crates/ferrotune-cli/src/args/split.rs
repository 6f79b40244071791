//! What was typed after `ferrotune split`.

use super::{Switch, TextColumns};
use clap::Args;
use std::path::PathBuf;

/// `ferrotune split`.
#[derive(Args)]
pub struct SplitArgs {
    /// Rows: .csv, .tsv, .jsonl (also .gz or .zst, written as text) or .parquet (written as .jsonl). All their columns stay as they are.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for train, validation and test, in the format of the data; with --folds for fold-0, fold-1 ...
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Share of the rows for validation; 0 for none [default: 0.1].
    #[arg(long, value_name = "SHARE", conflicts_with = "folds")]
    pub validation: Option<f64>,
    /// Share of the rows for the test; 0 for none [default: 0.1].
    #[arg(long, value_name = "SHARE", conflicts_with = "folds")]
    pub test: Option<f64>,
    /// Instead of shares, K folds: each row is validation once, and training in the other folds.
    #[arg(long, value_name = "K")]
    pub folds: Option<usize>,
    /// Give each part its share of every class [default: on where each row has one label].
    #[arg(long, value_enum)]
    pub stratify: Option<Switch>,
    /// Keep rows with the same value of this column in one part; rows without a value stand alone.
    #[arg(long, value_name = "COLUMN")]
    pub group_by: Option<String>,
    /// Drop rows whose text and label stand in an earlier row. Rows of the same text but for case, blanks and punctuation are in one part anyway.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    pub deduplicate: Switch,
    /// Which of many splits: the same seed gives the same files everywhere.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Replace the files of an earlier split.
    #[arg(long)]
    pub overwrite: bool,
    /// Where the texts stand.
    #[command(flatten)]
    pub columns: TextColumns,
    /// Column of the label [default: label, labels, score or tags, as for train].
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
}
