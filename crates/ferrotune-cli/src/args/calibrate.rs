//! What was typed after `ferrotune calibrate`.

use super::{DeviceArgs, TextColumns};
use clap::Args;
use std::path::PathBuf;

/// `ferrotune calibrate`.
#[derive(Args)]
pub struct CalibrateArgs {
    /// Fine-tuned model folder; its ferrotune.json is written again.
    #[arg(long, value_name = "DIR")]
    pub model: String,
    /// Labelled rows that the model has not learned from: .csv, .tsv, .jsonl (also .gz or .zst) or .parquet; of a folder its validation files.
    #[arg(long, value_name = "FILE|DIR")]
    pub data: PathBuf,
    /// Accuracy of answered rows, between 0 and 1: the model abstains from rows that are less sure than it takes (classification and binary).
    #[arg(long, value_name = "ACCURACY", conflicts_with = "abstain_below")]
    pub target_accuracy: Option<f64>,
    /// How sure it shall be that other rows of the same kind meet --target-accuracy, from 0 to below 1; 0: that these rows meet it is enough.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, requires = "target_accuracy")]
    pub certainty: f64,
    /// Abstain from rows whose predicted class has a lower probability than this.
    #[arg(long, value_name = "PROBABILITY")]
    pub abstain_below: Option<f64>,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
    /// Where the texts stand.
    #[command(flatten)]
    pub columns: TextColumns,
    /// Column of the label [default: as in training, else label or labels, by the model's task].
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// What it is computed on.
    #[command(flatten)]
    pub device: DeviceArgs,
}
