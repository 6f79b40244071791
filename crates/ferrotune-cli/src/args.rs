//! What was typed: the clap definitions, nothing resolved. Flags of `train` are also the keys of `ferrotune.toml`.
//! Nothing in this file and its folder reads a file, or knows what a flag does.

mod audit;
mod baseline;
mod calibrate;
mod choices;
mod device;
mod evaluate;
mod replay;
mod runs;
mod search;
mod serve;
mod settings;
mod split;

pub use audit::AuditArgs;
pub use baseline::BaselineArgs;
pub use calibrate::CalibrateArgs;
pub use choices::*;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
pub use device::*;
pub use evaluate::FurtherArgs;
use ferrotune_bert::presets::{self, Preset};
pub use replay::ReplayArgs;
pub use runs::{CompareArgs, ReportArgs};
pub use search::{Amount, PruningName, SamplerName, SearchArgs};
pub use serve::ServeArgs;
pub use settings::*;
pub use split::SplitArgs;
use std::path::PathBuf;

/// Fine-tune pretrained encoders of the BERT family on labelled text.
#[derive(Parser)]
#[command(name = "ferrotune", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
A first run, from a CSV with the columns text and label to a model folder:
  ferrotune train --model sentence-transformers/all-MiniLM-L6-v2 --train train.csv --validation dev.csv --output run
  ferrotune evaluate --model run/best --data test.csv
  ferrotune predict --model run/best --input new.csv --output labelled.csv
Before it, where there is one file for all:
  ferrotune split --data all.csv --output data
where it is not known how good the rows are
  ferrotune audit --train train.csv --validation dev.csv --test test.csv --model sentence-transformers/all-MiniLM-L6-v2
what a simple model reaches
  ferrotune baseline --train train.csv --test test.csv --model sentence-transformers/all-MiniLM-L6-v2
where the settings of a run are to be found by trying
  ferrotune search --model sentence-transformers/all-MiniLM-L6-v2 --train train.csv --validation dev.csv --output study
and where there are many texts of the field without labels:
  ferrotune pretrain --model sentence-transformers/all-MiniLM-L6-v2 --text texts.txt --output adapted
  ferrotune train --model adapted/best --train train.csv --validation dev.csv --output run

Exit codes: 0 done, 2 usage or configuration, 3 data, 4 model, 5 input/output, 6 not-a-number,
7 locked by another run, 8 resume or replay mismatch, 9 replayed to other weights, 75 stopped on request with a checkpoint saved.";

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Fine-tune a pretrained encoder on labelled rows and save it as a Hugging Face folder.
    Train(Box<TrainArgs>),
    /// Look for better settings of train: trials that differ in learning rate, epochs and what else the table `[search]` says, the weak ones given
    /// up early.
    Search(Box<SearchArgs>),
    /// Adapt a pretrained encoder to texts without labels, by masked language modelling; the result is a base model for train.
    Pretrain(Box<PretrainArgs>),
    /// Train a run again from its manifest, and compare the weights byte for byte.
    Replay(ReplayArgs),
    /// Measure a fine-tuned model on labelled rows.
    Evaluate(EvaluateArgs),
    /// Make a fine-tuned model's probabilities keep their promise on labelled rows, and choose when it had better not answer.
    Calibrate(CalibrateArgs),
    /// Label rows: reads and writes a stream, memory does not grow with the input.
    Predict(PredictArgs),
    /// Answer requests over HTTP with a fine-tuned model: one process, no other program needed.
    Serve(ServeArgs),
    /// Show what a model folder holds: architecture, sizes, labels.
    Info(InfoArgs),
    /// List what this machine can compute on.
    Devices,
    /// Bring a pretrained model to this machine and say where it is.
    Fetch(FetchArgs),
    /// Make a BERT of a known size with random weights, to pretrain from nothing or to measure speed with.
    Init(InitArgs),
    /// Divide rows into training, validation and test files, or folds: by class, groups and texts whole, the same for a seed.
    Split(SplitArgs),
    /// Look for what is wrong with the rows before training: leaked, repeated, contradicting, mislabelled, damaged.
    Audit(AuditArgs),
    /// Measure what fine-tuning has to beat: the most frequent class, logistic regression on words, and on the frozen encoder.
    Baseline(BaselineArgs),
    /// Write report.html into the folder of a finished run: curves, tables, mistakes and settings as one page.
    Report(ReportArgs),
    /// Set finished runs side by side: results, intervals, speed, and the settings that differ.
    Compare(CompareArgs),
}

impl Cli {
    /// What was typed. The help of `pretrain` shows only what applies there.
    pub fn read() -> Cli {
        let applies = |arg: &Arg| {
            arg.get_long().is_none_or(|key| !TrainSettings::keys().iter().any(|k| k == key) || SHARED.contains(&key))
        };
        let hide = |arg: Arg| if applies(&arg) { arg } else { arg.hide(true) };
        let rate = "Peak learning rate. Small encoders want more than large ones [default: 1e-4]";
        let metric = "What the held-out texts choose the best epoch by: loss, perplexity, or accuracy of the hidden tokens [default: loss]";
        let length = "Tokens of a row at most, special tokens included; longer texts are read in pieces [default: 128, or what the model reads]";
        let command = Cli::command()
            .mut_subcommand("pretrain", |pretrain| {
                pretrain
                    .mut_args(hide)
                    .mut_arg("lr", |arg| arg.help(rate))
                    .mut_arg("text_column", |arg| arg.help("Column of the texts, of a table [default: text]"))
                    .mut_arg("metric", |arg| arg.help(metric).hide_possible_values(true))
                    .mut_arg("validation", |arg| arg.help("Texts that choose the best epoch: a file as for --text"))
                    .mut_arg("max_length", |arg| arg.help(length))
                    .mut_arg("head_lr", |arg| arg.help("Learning rate of the head over the vocabulary [default: --lr]"))
            })
            .mut_subcommand("search", |search| {
                let alone = |arg: Arg| {
                    if matches!(arg.get_long(), Some("seeds" | "on-degenerate" | "budget" | "learning-curve")) {
                        arg.hide(true)
                    } else {
                        arg
                    }
                };
                search.mut_args(alone)
            });
        let command = ["evaluate", "predict", "calibrate"].into_iter().fold(command, |command, name| {
            command.mut_subcommand(name, |later| {
                later
                    .mut_arg("text_column", |arg| {
                        arg.help("Column of the text [default: as in training, else as for train]")
                    })
                    .mut_arg("text_b_column", |arg| arg.help("Column of the second text of a pair [default: likewise]"))
            })
        });
        Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// `ferrotune train`.
#[derive(Args)]
pub struct TrainArgs {
    /// The settings, which a file may hold too.
    #[command(flatten)]
    pub settings: TrainSettings,
    /// Read settings from this TOML file; its keys are the names of the flags, and flags win [default: ferrotune.toml if it exists].
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// What becomes of an earlier run in --output.
    #[command(flatten)]
    pub earlier: EarlierRun,
}

/// What becomes of an earlier run in the same folder.
#[derive(Args)]
pub struct EarlierRun {
    /// Continue an interrupted run in --output from its newest checkpoint, to the same bits.
    #[arg(long, help_heading = "Run")]
    pub resume: bool,
    /// Replace the results of an earlier run, series or search in --output.
    #[arg(long, help_heading = "Run", conflicts_with = "resume")]
    pub overwrite: bool,
}

/// `ferrotune pretrain`.
#[derive(Args)]
pub struct PretrainArgs {
    /// What it has of its own.
    #[command(flatten)]
    pub own: PretrainSettings,
    /// What it shares with `train`: [`SHARED`].
    #[command(flatten)]
    pub settings: TrainSettings,
    /// Read settings from this TOML file; its keys are the names of the flags, and flags win [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// What becomes of an earlier run in --output.
    #[command(flatten)]
    pub earlier: EarlierRun,
}

/// The columns of the texts of a table.
#[derive(Args, Clone, Default)]
pub struct TextColumns {
    /// Column of the text [default: text, or text_a; tokens of tagged words].
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Column of the second text of a pair [default: text_b if there is text_a].
    #[arg(long, value_name = "NAME", requires = "text_column")]
    pub text_b_column: Option<String>,
}

/// `ferrotune evaluate`.
#[derive(Args)]
pub struct EvaluateArgs {
    /// Fine-tuned model: a folder, or a hub id.
    #[arg(long, value_name = "DIR|ID")]
    pub model: String,
    /// Labelled rows: .csv, .tsv, .jsonl (also .gz or .zst) or .parquet; of a folder its test files, else its validation files.
    #[arg(long, value_name = "FILE|DIR")]
    pub data: PathBuf,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Show the N rows that were predicted wrong with the highest loss (classification and binary).
    #[arg(long, value_name = "N")]
    pub mistakes: Option<usize>,
    /// What is shown besides of classification and binary.
    #[command(flatten)]
    pub further: FurtherArgs,
    /// Tokens of a row at most [default: what the model was trained with, else 128].
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Where the texts stand.
    #[command(flatten)]
    pub columns: TextColumns,
    /// Column of the label [default: as in training, else label, labels, score or tags, by the model's task].
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// What it is computed on.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// `ferrotune predict`.
#[derive(Args)]
pub struct PredictArgs {
    /// Fine-tuned model: a folder, or a hub id.
    #[arg(long, value_name = "DIR|ID")]
    pub model: String,
    /// Rows with a text column (of a model of words JSON Lines with tokens), or - for standard input.
    #[arg(long, value_name = "FILE|-")]
    pub input: String,
    /// Where predictions go, or - for standard output.
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    pub output: String,
    /// Replace a file that is there.
    #[arg(long)]
    pub overwrite: bool,
    /// How predictions are written [default: by the output's extension, else csv].
    #[arg(long, value_enum)]
    pub format: Option<OutputFormat>,
    /// Format of the input: csv, tsv or jsonl [default: by its extension; csv for standard input].
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,
    /// Add the raw scores of the classes, for words one array each (jsonl only).
    #[arg(long)]
    pub logits: bool,
    /// Add the columns of the input, as the object `input` (jsonl only; csv has them in any case).
    #[arg(long)]
    pub with_input: bool,
    /// Tokens of a row at most [default: what the model was trained with, else 128].
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Where the texts stand.
    #[command(flatten)]
    pub columns: TextColumns,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// What it is computed on.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// `ferrotune info`.
#[derive(Args)]
pub struct InfoArgs {
    /// Model folder or hub id.
    #[arg(value_name = "DIR|ID")]
    pub model: String,
    /// List every tensor.
    #[arg(long)]
    pub tensors: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `ferrotune fetch`.
#[derive(Args)]
pub struct FetchArgs {
    /// Hub id, such as sentence-transformers/all-MiniLM-L6-v2.
    #[arg(value_name = "ID")]
    pub model: String,
}

/// `ferrotune init`.
#[derive(Args)]
pub struct InitArgs {
    /// Its size.
    #[arg(long, value_name = "NAME", value_parser = preset_names())]
    pub preset: &'static Preset,
    /// BERT model whose tokenizer and vocabulary it gets: folder or hub id.
    #[arg(long, value_name = "DIR|ID")]
    pub tokenizer: String,
    /// Folder to make.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Determines the weights.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Replace a model folder that is there.
    #[arg(long)]
    pub overwrite: bool,
}

fn preset_names() -> impl TypedValueParser<Value = &'static Preset> {
    let find = |name: String| presets::ALL.iter().find(|preset| preset.name == name).expect("is one of the names");
    PossibleValuesParser::new(presets::ALL.map(|preset| preset.name)).map(find)
}
