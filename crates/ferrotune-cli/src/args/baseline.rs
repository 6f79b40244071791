//! What was typed after `ferrotune baseline`.

use super::TextColumns;
use clap::Args;
use std::path::PathBuf;

/// `ferrotune baseline`.
#[derive(Args)]
pub struct BaselineArgs {
    /// Training rows with the columns text (or text_a and text_b) and label, as for train.
    #[arg(long, value_name = "FILE|DIR")]
    pub train: PathBuf,
    /// Validation rows: measured where there are no test rows.
    #[arg(long, value_name = "FILE|DIR")]
    pub validation: Option<PathBuf>,
    /// Share of the training rows that is held out where no --validation is named, as by train; 0 for none [default: 0.1].
    #[arg(long, value_name = "SHARE", conflicts_with = "validation")]
    pub validation_share: Option<f64>,
    /// Test rows: these are measured.
    #[arg(long, value_name = "FILE|DIR")]
    pub test: Option<PathBuf>,
    /// Encoder, folder or hub id: adds logistic regression on what it says of each row.
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Tokens of a row at most, as for train; needs --model [default: 128].
    #[arg(long, value_name = "N", requires = "model")]
    pub max_length: Option<usize>,
    /// Determines which rows are held out.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Where the texts stand.
    #[command(flatten)]
    pub columns: TextColumns,
    /// Column of the label [default: label].
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}
