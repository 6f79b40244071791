//! What was typed: the clap definitions, nothing resolved. Flags of `train` are also the keys of `ferrotune.toml`.

mod choices;

pub use choices::*;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use ferrotune_train::metrics::MetricName;
use serde::{Deserialize, Serialize};
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
Before it, where there are many texts of the field without labels:
  ferrotune pretrain --model sentence-transformers/all-MiniLM-L6-v2 --text texts.txt --output adapted
  ferrotune train --model adapted/best --train train.csv --validation dev.csv --output run

Exit codes: 0 done, 2 usage or configuration, 3 data, 4 model, 5 input/output, 6 not-a-number,
7 locked by another run, 8 resume mismatch, 75 stopped on request with a checkpoint saved.";

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Fine-tune a pretrained encoder on labelled rows and save it as a Hugging Face folder.
    Train(Box<TrainArgs>),
    /// Adapt a pretrained encoder to texts without labels, by masked language modelling; the result is a base model for train.
    Pretrain(Box<PretrainArgs>),
    /// Measure a fine-tuned model on labelled rows.
    Evaluate(EvaluateArgs),
    /// Label rows: reads and writes a stream, memory does not grow with the input.
    Predict(PredictArgs),
    /// Show what a model folder holds: architecture, sizes, labels.
    Info(InfoArgs),
    /// Bring a pretrained model to this machine and say where it is.
    Fetch(FetchArgs),
}

impl Cli {
    /// What was typed. The help of `pretrain` shows only what applies there.
    pub fn read() -> Cli {
        let applies = |arg: &Arg| {
            arg.get_long().is_none_or(|key| !TrainSettings::keys().iter().any(|k| k == key) || SHARED.contains(&key))
        };
        let hide = |arg: Arg| if applies(&arg) { arg } else { arg.hide(true) };
        let rate = "Peak learning rate. Small encoders want more than large ones [default: 1e-4]";
        let command = Cli::command()
            .mut_subcommand("pretrain", |pretrain| pretrain.mut_args(hide).mut_arg("lr", |arg| arg.help(rate)));
        Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// The names of all metrics; which ones there are depends on the task.
fn metric_names() -> impl TypedValueParser<Value = MetricName> {
    let names = PossibleValuesParser::new(MetricName::ALL.map(MetricName::name));
    names.map(|name| name.parse().expect("the parser before lets only names of metrics pass"))
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
    /// Continue an interrupted run in --output from its newest checkpoint, to the same bits.
    #[arg(long, help_heading = "Run")]
    pub resume: bool,
    /// Replace the results of an earlier run in --output.
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
    /// Continue an interrupted run in --output from its newest checkpoint, to the same bits.
    #[arg(long, help_heading = "Run")]
    pub resume: bool,
    /// Replace the results of an earlier run in --output.
    #[arg(long, help_heading = "Run", conflicts_with = "resume")]
    pub overwrite: bool,
}

/// Settings of `pretrain` alone. `None` is "not said".
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PretrainSettings {
    /// Texts to learn from: .txt with one a line, or .csv, .tsv or .jsonl with the column text. Long ones are read in pieces.
    #[arg(long, value_name = "FILE", help_heading = "Data and model")]
    pub text: Option<PathBuf>,
    /// Share of the texts that is held out to measure loss and perplexity, where no --validation is named [default: 0.05].
    #[arg(long, value_name = "SHARE", help_heading = "Data and model")]
    pub held_out: Option<f64>,
    /// Mask all tokens of a word, or none [default: off].
    #[arg(long, value_enum, help_heading = "Data and model")]
    pub whole_word_masking: Option<Switch>,
}

/// The settings of `train` that `pretrain` has too.
pub const SHARED: [&str; 37] = [
    "model",
    "validation",
    "output",
    "text-column",
    "max-length",
    "lr",
    "batch-size",
    "micro-batch",
    "max-tokens",
    "epochs",
    "max-steps",
    "optimizer",
    "momentum",
    "schedule",
    "warmup",
    "layer-lr-decay",
    "head-lr",
    "minimum-lr",
    "cycles",
    "power",
    "weight-decay",
    "l1",
    "l2",
    "l2-sp",
    "clip",
    "ema",
    "freeze",
    "dropout",
    "attention-dropout",
    "activation-checkpointing",
    "metric",
    "patience",
    "seed",
    "threads",
    "precision",
    "log-every",
    "checkpoint-every",
];

/// Everything that determines a run. `None` is "not said".
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct TrainSettings {
    /// Pretrained model: a folder, or a hub id such as sentence-transformers/all-MiniLM-L6-v2.
    #[arg(long, value_name = "DIR|ID", help_heading = "Data and model")]
    pub model: Option<String>,
    /// Training rows: .csv, .tsv or .jsonl with the columns text (or text_a and text_b) and label, labels or score; or .jsonl with the arrays
    /// tokens and tags.
    #[arg(long, value_name = "FILE", help_heading = "Data and model")]
    pub train: Option<PathBuf>,
    /// Rows that choose the best epoch.
    #[arg(long, value_name = "FILE", help_heading = "Data and model")]
    pub validation: Option<PathBuf>,
    /// Rows that are measured once, at the end.
    #[arg(long, value_name = "FILE", help_heading = "Data and model")]
    pub test: Option<PathBuf>,
    /// Folder for the run: best/ (the model), results.json, metrics.jsonl, checkpoints/.
    #[arg(long, value_name = "DIR", help_heading = "Data and model")]
    pub output: Option<PathBuf>,
    /// Column of the text [default: text, or text_a; tokens for tokens].
    #[arg(long, value_name = "NAME", help_heading = "Data and model")]
    pub text_column: Option<String>,
    /// Column of the second text of a pair [default: text_b if there is text_a].
    #[arg(long, value_name = "NAME", requires = "text_column", help_heading = "Data and model")]
    pub text_b_column: Option<String>,
    /// Column of the label [default: label; labels for multi-label, score for regression, tags for tokens].
    #[arg(long, value_name = "NAME", help_heading = "Data and model")]
    pub label_column: Option<String>,
    /// What is learned [default: by the columns: label is classification, labels multi-label, score regression, tokens and tags tokens].
    #[arg(long, value_enum, help_heading = "Data and model")]
    pub task: Option<TaskName>,
    /// What stands between two labels of a row, of multi-label [default: |].
    #[arg(long, value_name = "CHAR", help_heading = "Data and model")]
    pub label_separator: Option<char>,
    /// The class whose probability the one logit gives, of binary [default: the later by name].
    #[arg(long, value_name = "NAME", help_heading = "Data and model")]
    pub positive_label: Option<String>,
    /// Tokens of a row at most, special tokens included; longer rows are cut and counted, of words into overlapping windows [default: 128].
    #[arg(long, value_name = "N", help_heading = "Data and model")]
    pub max_length: Option<usize>,
    /// What is read of a text with more than --max-length tokens; evaluate and predict do the same [default: head].
    #[arg(long, value_enum, help_heading = "Data and model")]
    pub long_texts: Option<LongTextsName>,

    /// Settings that belong together; each of them can still be set by its own flag.
    #[arg(long, value_enum, help_heading = "Optimization")]
    pub recipe: Option<RecipeName>,
    /// Peak learning rate. Small encoders want 1e-4 and more, BERT-base 2e-5 to 5e-5 [default: 2e-5].
    #[arg(long, value_name = "RATE", help_heading = "Optimization")]
    pub lr: Option<f64>,
    /// Rows of an optimizer step [default: 32].
    #[arg(long, value_name = "N", help_heading = "Optimization")]
    pub batch_size: Option<usize>,
    /// Rows of a forward pass, if fewer than --batch-size: gradients add up, memory shrinks.
    #[arg(long, value_name = "N", help_heading = "Optimization")]
    pub micro_batch: Option<usize>,
    /// Tokens of a forward pass at most; a batch with more is cut into several passes, to the same result with less memory.
    #[arg(long, value_name = "N", help_heading = "Optimization")]
    pub max_tokens: Option<usize>,
    /// Keep only what each layer gives and compute the rest again in the backward pass: the same bits with less memory, in about a third
    /// more time [default: off].
    #[arg(long, value_enum, help_heading = "Optimization")]
    pub activation_checkpointing: Option<Switch>,
    /// Passes over the training rows [default: 3].
    #[arg(long, value_name = "N", help_heading = "Optimization")]
    pub epochs: Option<u64>,
    /// End after this many optimizer steps in all.
    #[arg(long, value_name = "N", help_heading = "Optimization")]
    pub max_steps: Option<u64>,
    /// Optimizer [default: adamw].
    #[arg(long, value_enum, help_heading = "Optimization")]
    pub optimizer: Option<OptimizerName>,
    /// Momentum of sgd [default: 0.9].
    #[arg(long, value_name = "M", help_heading = "Optimization")]
    pub momentum: Option<f64>,
    /// Loss [default: cross-entropy; mse for regression].
    #[arg(long, value_enum, help_heading = "Optimization")]
    pub loss: Option<LossName>,
    /// How little the focal loss counts rows that are right: 0 is cross-entropy [default: 2].
    #[arg(long, value_name = "GAMMA", help_heading = "Optimization")]
    pub focal_gamma: Option<f64>,
    /// Where huber turns linear, in units of the score [default: 1].
    #[arg(long, value_name = "DELTA", help_heading = "Optimization")]
    pub huber_delta: Option<f64>,
    /// Learning rate over the run [default: linear].
    #[arg(long, value_enum, help_heading = "Optimization")]
    pub schedule: Option<ScheduleName>,
    /// Share of all steps in which the rate rises to the peak [default: 0.1; 0.3 for one-cycle].
    #[arg(long, value_name = "SHARE", help_heading = "Optimization")]
    pub warmup: Option<f64>,
    /// Each layer learns at the rate of the layer above times this; embeddings are below layer 0 [default: 1].
    #[arg(long, value_name = "FACTOR", help_heading = "Optimization")]
    pub layer_lr_decay: Option<f64>,
    /// Learning rate of the classification head [default: --lr].
    #[arg(long, value_name = "RATE", help_heading = "Optimization")]
    pub head_lr: Option<f64>,
    /// Lowest rate of cosine and polynomial, as a share of the peak [default: 0].
    #[arg(long, value_name = "SHARE", help_heading = "Optimization")]
    pub minimum_lr: Option<f64>,
    /// How often cosine runs from peak to minimum; above 1 it restarts [default: 1].
    #[arg(long, value_name = "N", help_heading = "Optimization")]
    pub cycles: Option<u32>,
    /// Exponent of polynomial [default: 1].
    #[arg(long, value_name = "P", help_heading = "Optimization")]
    pub power: Option<f64>,

    /// Decoupled weight decay of adamw (L2 in sgd), of weights but not of biases and layer norms [default: 0.01].
    #[arg(long, value_name = "D", help_heading = "Regularization")]
    pub weight_decay: Option<f64>,
    /// L1 penalty on weights, a term of the loss [default: 0].
    #[arg(long, value_name = "L", help_heading = "Regularization")]
    pub l1: Option<f64>,
    /// L2 penalty on weights (half the sum of squares), a term of the loss [default: 0].
    #[arg(long, value_name = "L", help_heading = "Regularization")]
    pub l2: Option<f64>,
    /// Penalty on the way that weights of embeddings and layers have gone from their pretrained values (half the sum of squares) [default: 0].
    #[arg(long, value_name = "L", help_heading = "Regularization")]
    pub l2_sp: Option<f64>,
    /// Largest global norm of the gradient; 0 turns clipping off [default: 1.0].
    #[arg(long, value_name = "NORM", help_heading = "Regularization")]
    pub clip: Option<f64>,
    /// Share of each label that is spread over all classes [default: 0].
    #[arg(long, value_name = "SHARE", help_heading = "Regularization")]
    pub label_smoothing: Option<f64>,
    /// Weights of the classes' rows in the loss: auto (all classes count the same), or NAME=WEIGHT,... (others count 1).
    #[arg(long, value_name = "auto|MAP", help_heading = "Regularization")]
    pub class_weights: Option<String>,
    /// Average the weights over the steps with this decay; what is evaluated and saved are the averages (EMA).
    #[arg(long, value_name = "DECAY", help_heading = "Regularization")]
    pub ema: Option<f64>,
    /// Draw every class equally often in each epoch: rows of small classes come several times [default: off].
    #[arg(long, value_enum, help_heading = "Regularization")]
    pub balanced_sampling: Option<Switch>,
    /// Parts that stay as they are, such as embeddings,layers.0-3 or encoder (embeddings and all layers) or BERT's pooler.
    #[arg(long, value_name = "SPEC", help_heading = "Regularization")]
    pub freeze: Option<String>,
    /// Dropout of embeddings and layers, instead of the model's own.
    #[arg(long, value_name = "P", help_heading = "Regularization")]
    pub dropout: Option<f64>,
    /// Dropout of attention probabilities, instead of the model's own.
    #[arg(long, value_name = "P", help_heading = "Regularization")]
    pub attention_dropout: Option<f64>,
    /// Dropout before the head, instead of the model's own.
    #[arg(long, value_name = "P", help_heading = "Regularization")]
    pub classifier_dropout: Option<f64>,
    /// Train low-rank products of this rank beside the frozen weights, and the head (LoRA).
    #[arg(long, value_name = "R", help_heading = "Regularization")]
    pub lora_rank: Option<usize>,
    /// The products are multiplied by this over the rank [default: twice the rank].
    #[arg(long, value_name = "ALPHA", help_heading = "Regularization")]
    pub lora_alpha: Option<f64>,
    /// Dropout of what the products read [default: 0].
    #[arg(long, value_name = "P", help_heading = "Regularization")]
    pub lora_dropout: Option<f64>,
    /// Linear layers that get one: query, key, value, attention-output, intermediate, output, or all [default: query,value].
    #[arg(long, value_name = "NAMES", help_heading = "Regularization")]
    pub lora_targets: Option<String>,
    /// Train biases and the head alone (BitFit) [default: off].
    #[arg(long, value_enum, help_heading = "Regularization")]
    pub bitfit: Option<Switch>,
    /// Train the head alone in the first epoch, this many more layers from the top in each later one, and the embeddings at last
    /// [default: all from the start].
    #[arg(long, value_name = "LAYERS", help_heading = "Regularization")]
    pub gradual_unfreezing: Option<usize>,
    /// Give this many top layers, and BERT's pooler, new random values before training [default: 0].
    #[arg(long, value_name = "N", help_heading = "Regularization")]
    pub reinit_layers: Option<usize>,
    /// The metric on validation rows that chooses the best epoch [default: accuracy; f1_macro for multi-label, pearson for regression,
    /// f1_micro for tokens].
    #[arg(long, value_name = "METRIC", value_parser = metric_names(), help_heading = "Regularization")]
    pub metric: Option<MetricName>,
    /// Stop after this many epochs without improvement of the metric.
    #[arg(long, value_name = "N", help_heading = "Regularization")]
    pub patience: Option<u64>,

    /// Determines the order of rows, dropout and the new head [default: 0].
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub seed: Option<u64>,
    /// Threads; results do not depend on it [default: all cores].
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub threads: Option<usize>,
    /// What matrix products are computed in [default: f32].
    #[arg(long, value_enum, help_heading = "Run")]
    pub precision: Option<Precision>,
    /// Outputs of frozen layers at the bottom are computed once and kept; off computes them in each epoch, with the same result
    /// [default: on].
    #[arg(long, value_enum, help_heading = "Run")]
    pub prefix_cache: Option<Switch>,
    /// MiB of memory for them at most; what is larger lies in a file in --output until the run ends [default: 2048].
    #[arg(long, value_name = "MIB", help_heading = "Run")]
    pub prefix_cache_memory: Option<u64>,
    /// Keep them in files of this folder, for later runs with the same rows, model, --freeze and --max-length.
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub prefix_cache_dir: Option<PathBuf>,
    /// Write a row to metrics.jsonl every so many steps [default: 10].
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub log_every: Option<u64>,
    /// Save a checkpoint every so many steps, besides the one after each epoch.
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub checkpoint_every: Option<u64>,
}

impl TrainSettings {
    /// The long flags, which are the keys of a settings file.
    pub fn keys() -> Vec<String> {
        keys_of::<TrainSettings>()
    }
}

impl PretrainSettings {
    /// The long flags, which are the keys of a settings file.
    pub fn keys() -> Vec<String> {
        keys_of::<PretrainSettings>()
    }
}

fn keys_of<A: Args>() -> Vec<String> {
    let command = A::augment_args(clap::Command::new("settings"));
    command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_string).collect()
}

/// `ferrotune evaluate`.
#[derive(Args)]
pub struct EvaluateArgs {
    /// Fine-tuned model folder.
    #[arg(long, value_name = "DIR")]
    pub model: String,
    /// Labelled rows: .csv, .tsv or .jsonl.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Tokens of a row at most [default: what the model was trained with, else 128].
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Column of the text [default: text, or text_a].
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Column of the second text of a pair [default: text_b if there is text_a].
    #[arg(long, value_name = "NAME", requires = "text_column")]
    pub text_b_column: Option<String>,
    /// Column of the label [default: label, labels, score or tags, by the model's task].
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// What matrix products are computed in.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
}

/// `ferrotune predict`.
#[derive(Args)]
pub struct PredictArgs {
    /// Fine-tuned model folder.
    #[arg(long, value_name = "DIR")]
    pub model: String,
    /// Rows with a text column (of a model of words JSON Lines with tokens), or - for standard input.
    #[arg(long, value_name = "FILE|-")]
    pub input: String,
    /// Where predictions go, or - for standard output.
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    pub output: String,
    /// How predictions are written [default: by the output's extension, else csv].
    #[arg(long, value_enum)]
    pub format: Option<OutputFormat>,
    /// Format of the input: csv, tsv or jsonl [default: by its extension; csv for standard input].
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,
    /// Add the raw scores of the classes, for words one array each (jsonl only).
    #[arg(long)]
    pub logits: bool,
    /// Tokens of a row at most [default: what the model was trained with, else 128].
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Column of the text [default: text, or text_a].
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Column of the second text of a pair [default: text_b if there is text_a].
    #[arg(long, value_name = "NAME", requires = "text_column")]
    pub text_b_column: Option<String>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// What matrix products are computed in.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
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
