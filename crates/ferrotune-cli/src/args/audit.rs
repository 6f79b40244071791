//! What was typed after `ferrotune audit`.

use super::{Switch, TaskName, TextColumns};
use clap::Args;
use std::path::PathBuf;

/// `ferrotune audit`.
#[derive(Args)]
pub struct AuditArgs {
    /// Training rows: .csv, .tsv, .jsonl (also .gz or .zst) or .parquet; of a folder its training files, and its validation files with them.
    #[arg(long, value_name = "FILE|DIR")]
    pub train: PathBuf,
    /// Validation rows.
    #[arg(long, value_name = "FILE|DIR")]
    pub validation: Option<PathBuf>,
    /// Test rows.
    #[arg(long, value_name = "FILE|DIR")]
    pub test: Option<PathBuf>,
    /// Encoder, folder or hub id: counts tokens, and finds labels of training rows that are likely wrong (tasks with one class a row).
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Tokens of a row at most, as for train; needs --model [default: 128].
    #[arg(long, value_name = "N", requires = "model")]
    pub max_length: Option<usize>,
    /// Write a cleaned copy of each part to this folder, with a log of what was taken out and why.
    #[arg(long, value_name = "DIR")]
    pub fix: Option<PathBuf>,
    /// Replace the copies of an earlier --fix, or an earlier --json.
    #[arg(long)]
    pub overwrite: bool,
    /// Write all findings with all their rows to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Whether --fix also takes out training rows that are one word apart from a validation or test row, or alike otherwise.
    #[arg(long, value_enum, default_value_t = Switch::Off, requires = "fix")]
    pub fix_near: Switch,
    /// Rows shown of each warning; of each note two at most.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub show: usize,
    /// What is learned [default: by the columns of the training file, as for train].
    #[arg(long, value_enum)]
    pub task: Option<TaskName>,
    /// Where the texts stand.
    #[command(flatten)]
    pub columns: TextColumns,
    /// Column of the label [default: label, labels, score or tags, by the task].
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Stands between labels of a row [default: |].
    #[arg(long, value_name = "CHAR")]
    pub label_separator: Option<char>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}
