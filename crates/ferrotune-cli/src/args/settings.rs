//! The settings of a run: flags, and keys of `ferrotune.toml`. It must not know what their values do.

#[cfg(feature = "cuda")]
use super::DeviceName;
use super::choices::*;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ferrotune_train::metrics::MetricName;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of `pretrain` alone. `None` is "not said".
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PretrainSettings {
    /// Texts to learn from: .txt with one a line, or .csv, .tsv, .jsonl or .parquet with the column text. Long ones are read in pieces.
    #[arg(long, value_name = "FILE", help_heading = "Data and model")]
    pub text: Option<PathBuf>,
    /// Share of the texts that is held out to measure loss and perplexity, where no --validation is named: the same texts together; 0 for none
    /// [default: 0.05].
    #[arg(long, value_name = "SHARE", help_heading = "Data and model")]
    pub held_out: Option<f64>,
    /// Mask all tokens of a word, or none [default: off].
    #[arg(long, value_enum, help_heading = "Data and model")]
    pub whole_word_masking: Option<Switch>,
}

/// The settings of `train` that `pretrain` has too.
pub const SHARED: &[&str] = &[
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
    #[cfg(feature = "cuda")]
    "device",
    "precision",
    "log-every",
    "tensorboard",
    "checkpoint-every",
];

/// Everything that determines a run. `None` is "not said".
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct TrainSettings {
    /// Pretrained model: a folder, or a hub id such as sentence-transformers/all-MiniLM-L6-v2.
    #[arg(long, value_name = "DIR|ID", help_heading = "Data and model")]
    pub model: Option<String>,
    /// Training rows: .csv, .tsv, .jsonl (also .gz or .zst) or .parquet with the columns text (or text_a and text_b) and label, labels or
    /// score; or .jsonl or .parquet with the arrays tokens and tags. Of a folder its training files, and its validation files for --validation.
    #[arg(long, value_name = "FILE|DIR", help_heading = "Data and model")]
    pub train: Option<PathBuf>,
    /// Rows that choose the best epoch; of a folder its validation files.
    #[arg(long, value_name = "FILE|DIR", help_heading = "Data and model")]
    pub validation: Option<PathBuf>,
    /// Share of the training rows that is held out for this, where no --validation is named: by class, the same texts together; 0 for none
    /// [default: 0.1].
    #[arg(long, value_name = "SHARE", help_heading = "Data and model")]
    pub validation_share: Option<f64>,
    /// Which rows that are; all runs of --seeds have the same [default: --seed].
    #[arg(long, value_name = "N", help_heading = "Data and model")]
    pub validation_seed: Option<u64>,
    /// Rows that are measured once, at the end; of a folder its test files.
    #[arg(long, value_name = "FILE|DIR", help_heading = "Data and model")]
    pub test: Option<PathBuf>,
    /// Folder for the run: best/ (the model), results.json, metrics.jsonl, checkpoints/.
    #[arg(long, value_name = "DIR", help_heading = "Data and model")]
    pub output: Option<PathBuf>,
    /// Learn from this share of the training rows alone, after validation rows are held out: by class, each share part of every larger one
    /// [default: 1].
    #[arg(long, value_name = "SHARE", help_heading = "Data and model")]
    pub train_share: Option<f64>,
    /// Which rows that are [default: --seed].
    #[arg(long, value_name = "N", help_heading = "Data and model")]
    pub train_share_seed: Option<u64>,
    /// Column of the text [default: text, or text_a; tokens for tokens].
    #[arg(long, value_name = "NAME", help_heading = "Data and model")]
    pub text_column: Option<String>,
    /// Column of the second text of a pair [default: text_b if there is text_a].
    #[arg(long, value_name = "NAME", help_heading = "Data and model")]
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
    /// Tokens of a row at most, special tokens included; longer rows are cut and counted, of words into overlapping windows [default: 128, or
    /// what the model reads].
    #[arg(long, value_name = "N", help_heading = "Data and model")]
    pub max_length: Option<usize>,
    /// What is read of a text with more than --max-length tokens; evaluate and predict do the same [default: head].
    #[arg(long, value_enum, help_heading = "Data and model")]
    pub long_texts: Option<LongTextsName>,

    /// Settings that belong together; each of them can still be set by its own flag.
    #[arg(long, value_enum, help_heading = "Optimization")]
    pub recipe: Option<RecipeName>,
    /// Settings of the settings file or the recipe that are to count as not said, such as freeze,lora-rank.
    #[arg(long, value_name = "NAME,...", help_heading = "Optimization")]
    pub unset: Option<String>,
    /// Peak learning rate. Small encoders want 1e-4 and more, BERT-base 2e-5 to 5e-5 [default: 1e-4 up to a width of 512, else 2e-5].
    #[arg(long, alias = "learning-rate", value_name = "RATE", help_heading = "Optimization")]
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
    /// Of the weights after each epoch, average those of this many best ones at the end, and keep the mean if it is no worse than the best.
    #[arg(long, value_name = "N", help_heading = "Regularization")]
    pub average_best: Option<usize>,
    /// Draw every class equally often in each epoch: rows of small classes come several times [default: off].
    #[arg(long, value_enum, help_heading = "Regularization")]
    pub balanced_sampling: Option<Switch>,
    /// Parts that stay as they are, such as embeddings,layers.0-3 or encoder (embeddings, all layers, ModernBERT's last norm) or BERT's pooler.
    #[arg(long, value_name = "SPEC", help_heading = "Regularization")]
    pub freeze: Option<String>,
    /// Dropout of embeddings and layers, instead of the model's own.
    #[arg(long, value_name = "P", help_heading = "Regularization")]
    pub dropout: Option<f64>,
    /// Dropout of attention probabilities, and in ModernBERT of attention's output, instead of the model's own.
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
    /// Train this many times, from this many seeds in a row, each in a folder of --output: seed-0 (that of --seed), seed-1 and so on; says mean and spread of what was measured.
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub seeds: Option<u64>,
    /// The time that the whole command may take, such as 20m: a few steps are timed, and of length, depth and epochs what was not said is
    /// chosen to fit; says what it gave up.
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    pub budget: Option<String>,
    /// Train once with each of these percentages of the training rows, each in a folder rows-P of --output, and say whether more rows
    /// would help; without a value with 12.5,25,50,100.
    #[arg(long, value_name = "PERCENTAGES", num_args = 0..=1, default_missing_value = "12.5,25,50,100", help_heading = "Run")]
    pub learning_curve: Option<String>,
    /// What to do once training has learned one answer for all rows: warn and go on, or restart with the next seed, at most 3 times
    /// [default: warn].
    #[arg(long, value_enum, help_heading = "Run")]
    pub on_degenerate: Option<OnDegenerate>,
    /// Threads; results do not depend on it [default: all cores].
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub threads: Option<usize>,
    /// What to compute on: cpu, cuda (the first GPU), cuda:N, or auto (the first GPU, where there is one) [default: cpu].
    #[cfg(feature = "cuda")]
    #[arg(long, value_name = "DEVICE", help_heading = "Run")]
    pub device: Option<DeviceName>,
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
    /// Also write what is logged for TensorBoard, into tensorboard/ of --output [default: off].
    #[arg(long, value_enum, help_heading = "Run")]
    pub tensorboard: Option<Switch>,
    /// What the result of a classifier is shown beside, fitted on the same training rows [default: words].
    #[arg(long, value_enum, help_heading = "Run")]
    pub baselines: Option<BaselinesName>,
    /// Write report.html into --output at the end: curves, tables, mistakes and settings as one page without a network; `ferrotune report` writes it
    /// later too [default: on].
    #[arg(long, value_enum, help_heading = "Run")]
    pub report: Option<Switch>,
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

/// The names of all metrics; which ones there are depends on the task.
fn metric_names() -> impl TypedValueParser<Value = MetricName> {
    let names = PossibleValuesParser::new(MetricName::ALL.map(MetricName::name));
    names.map(|name| name.parse().expect("the parser before lets only names of metrics pass"))
}
