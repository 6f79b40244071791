//! What is learned from a row: one file for each task, found by its name. A task owns everything that depends on the kind of label: how
//! targets are read from a table, the loss, the report and the metrics that may choose the best epoch, what config.json calls it, and
//! what a prediction looks like. It must not know any model, and files only as tables that were read.
//!
//! The trainer and evaluation know the trait [`Objective`] alone, prediction the trait [`Task`].

mod binary;
mod masked;
mod multi_label;
mod regression;
mod scores;
mod single_label;
mod stored;
mod tokens;

pub use binary::Binary;
pub use masked::MaskedTokens;
pub use multi_label::MultiLabel;
pub use regression::Regression;
pub use scores::{argmax, cross_entropy, sigmoid, sigmoid_at, softmax, softmax_at};
pub use single_label::SingleLabel;
pub use stored::{DEFAULT_SEPARATOR, StoredTaskError, stored};
pub use tokens::{Tokens, WordTags};

use crate::calibration::Scored;
use crate::metrics::{Classified, MetricName, Report};
use crate::model::Split;
use ferrotune_data::{DataError, Encoded, Hidden, Need, Row, Table};
use ferrotune_optim::losses::{BinaryCrossEntropy, BinaryFocal, CrossEntropy, Focal, WeightedCrossEntropy};
use ferrotune_tensor::{Backend, Tape, Var};
use serde_json::{Map, Value};

/// What a run minimises, and what an evaluation measures.
///
/// Shapes: `n` is the number of scored units of the given rows: the rows themselves, or for taggers and masked language models their scored words. Logits
/// are `(n, labels)`. A text that was cut into windows counts once for each.
pub trait Objective<B: Backend>: Send + Sync {
    /// The metrics of its reports, of which each may choose the best epoch. The first is the default.
    fn metrics(&self) -> &'static [MetricName];

    /// The training rows as an epoch reads them, where they are not the same in each: as many tokens in the same rows. A pure function of its
    /// arguments, so that a resumed run sees what it would have seen.
    fn draw(&self, _train: &Split, _seed: u64, _epoch: u64) -> Option<Split> {
        None
    }

    /// What the summed loss of these rows is divided by for the mean. A step divides by the weight of all its rows, so that
    /// micro-batches add up to the batch.
    fn weight(&self, _targets: &Targets, rows: &[usize]) -> f64 {
        rows.len() as f64
    }

    /// `scale · Σ` of the losses of the given rows, whose logits are `(n, labels)`.
    fn loss(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize], scale: f32) -> Var;

    /// The mean loss of the best answer that is the same for all rows: what a model that learns nothing comes to. `None` where the loss of
    /// training cannot be compared with it, because it is weighted, smoothed or focused.
    fn constant_loss(&self, targets: &Targets) -> Option<f64>;

    /// What [`Objective::report`] needs to know of the logits of some rows: they themselves, or less where they are too many to keep.
    fn measure(&self, tape: &mut Tape<'_, B>, logits: Var, _targets: &Targets, _rows: &[usize]) -> Vec<f32> {
        tape.download(logits)
    }

    /// What a split is worth whose rows, in order, gave this to [`Objective::measure`]. Its loss is the plain one, without the smoothing,
    /// weights and focus that training may add, so that it means the same for every run.
    fn report(&self, measured: &[f32], targets: &Targets) -> Report;
}

/// An objective over labelled rows, whose model predicts labels. Their number is that of its outputs.
pub trait Task<B: Backend>: Objective<B> {
    /// Its name on the command line and in files.
    fn name(&self) -> &'static str;

    /// The names of the numbers that the model gives for a row, in their order.
    fn labels(&self) -> &[String];

    /// What the model gives these numbers for.
    fn unit(&self) -> Unit {
        Unit::Row
    }

    /// The `problem_type` under which Hugging Face tools do the same; none where the model's class says it all.
    fn problem_type(&self) -> Option<&'static str>;

    /// How a table of labelled rows is to be read.
    fn need(&self) -> Need;

    /// The targets of all rows of a table, which were cut into these tokens.
    ///
    /// # Errors
    /// A row whose label this task does not know or cannot use, with its line.
    fn targets(&self, table: &Table, encoded: &Encoded) -> Result<Targets, DataError>;

    /// Weighs the rows of each class in training so that all classes of these targets count the same, by rows over classes times the rows of the class
    /// (`class_weight="balanced"` of scikit-learn), and gives the weights; `None` of tasks that have none.
    fn balance(&mut self, _targets: &Targets) -> Option<&[f32]> {
        None
    }

    /// Whether it has something of its own to learn from validation rows after training: [`Task::fit`].
    fn fits(&self) -> bool {
        false
    }

    /// Learns from the logits `(rows, labels)` of the validation rows what is no weight of the model.
    fn fit(&mut self, _logits: &[f32], _targets: &Targets) {}

    /// The columns that a prediction adds to a table.
    fn columns(&self) -> Vec<String>;

    /// What the model's answer to one row says.
    fn predict(&self, row: &Row, answer: Answer<'_>) -> Prediction;

    /// What the logits `(rows, labels)` say of rows with these targets; `None` for tasks whose rows do not have one class each.
    fn classified(&self, _logits: &[f32], _targets: &Targets) -> Option<Classified> {
        None
    }

    /// The temperature by which [`Task::predict`] and [`Task::classified`] divide logits before they make probabilities of them: 1, until a
    /// calibration sets another. It changes no decision, and no report. `None` for tasks that give no probabilities of rows.
    fn temperature(&mut self) -> Option<&mut f64> {
        None
    }

    /// The logits `(rows, labels)` beside these targets, for a calibration; `None` where [`Task::temperature`] is.
    fn scored<'a>(&self, _logits: &'a [f32], _targets: &Targets) -> Option<Scored<'a>> {
        None
    }

    /// What a model folder must remember of the task, besides `labels` and `problem_type`.
    fn notes(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// What the model should have said about each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class id a row.
    Classes(Vec<u32>),
    /// The ids of each row's labels, ascending.
    Sets(Vec<Vec<u32>>),
    /// One number a row.
    Scores(Vec<f64>),
    /// One tag a word.
    Words(WordTags),
    /// The token that really stands at each scored place.
    Hidden(Hidden),
}

/// What a model gives scores to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Each row as a whole.
    Row,
    /// Each word of a row.
    Word,
}

/// What a model gave for one row of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer<'a> {
    /// Logits `(labels)`; of words `(words, labels)`.
    pub logits: &'a [f32],
    /// The words that these are of, ascending; empty where rows are scored.
    pub words: &'a [u32],
}

impl Targets {
    /// Number of rows; of words that of the sequences in which they lie.
    pub fn rows(&self) -> usize {
        match self {
            Targets::Words(tags) => tags.words.rows.len(),
            Targets::Hidden(hidden) => hidden.offsets.len() - 1,
            Targets::Classes(ids) => ids.len(),
            Targets::Sets(sets) => sets.len(),
            Targets::Scores(scores) => scores.len(),
        }
    }

    /// The targets of these rows, in their order; a row may come several times.
    ///
    /// # Panics
    /// If there is no such row, or these are targets of words or tokens, whose windows have their own.
    pub fn select(&self, rows: &[usize]) -> Targets {
        match self {
            Targets::Classes(ids) => Targets::Classes(rows.iter().map(|&row| ids[row]).collect()),
            Targets::Sets(sets) => Targets::Sets(rows.iter().map(|&row| sets[row].clone()).collect()),
            Targets::Scores(scores) => Targets::Scores(rows.iter().map(|&row| scores[row]).collect()),
            Targets::Words(_) | Targets::Hidden(_) => {
                panic!("Targets::select: targets of words and tokens belong to their sequences")
            }
        }
    }

    /// The class of each row, where it has one.
    pub fn class_ids(&self) -> Option<&[u32]> {
        match self {
            Targets::Classes(ids) => Some(ids),
            Targets::Sets(_) | Targets::Scores(_) | Targets::Words(_) | Targets::Hidden(_) => None,
        }
    }

    /// # Panics
    /// If these are targets of another kind of task.
    fn classes(&self) -> &[u32] {
        let Targets::Classes(ids) = self else { panic!("Targets::classes: these are of another task") };
        ids
    }

    /// # Panics
    /// If these are targets of another kind of task.
    fn sets(&self) -> &[Vec<u32>] {
        let Targets::Sets(sets) = self else { panic!("Targets::sets: these are of another task") };
        sets
    }

    /// # Panics
    /// If these are targets of another kind of task.
    fn scores(&self) -> &[f64] {
        let Targets::Scores(scores) = self else { panic!("Targets::scores: these are of another task") };
        scores
    }

    /// # Panics
    /// If these are targets of another kind of task.
    fn words(&self) -> &WordTags {
        let Targets::Words(tags) = self else { panic!("Targets::words: these are of another task") };
        tags
    }

    /// # Panics
    /// If these are targets of another kind of task.
    fn hidden(&self) -> &Hidden {
        let Targets::Hidden(hidden) = self else { panic!("Targets::hidden: these are of another task") };
        hidden
    }
}

/// What training lays stress on, beyond the plain loss that reports show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Emphasis {
    /// The share of each label that is spread evenly over all classes (Szegedy et al. 2016).
    pub smoothing: f32,
    /// Focal loss with this gamma (Lin et al. 2017) instead of cross-entropy. It takes no smoothing.
    pub focal_gamma: Option<f32>,
}

/// The entropy in nats of a distribution given by counts.
fn entropy(counts: &[usize]) -> f64 {
    let all: usize = counts.iter().sum();
    let share = |&count: &usize| count as f64 / all as f64;
    counts.iter().filter(|&&count| count > 0).map(share).map(|p| -p * p.ln()).sum()
}

/// Records the loss of one class for each line of the logits. `weights` has one for each class, if they do not all count the same.
fn class_loss<B: Backend>(
    tape: &mut Tape<'_, B>,
    logits: Var,
    labels: Vec<u32>,
    classes: usize,
    weights: Option<&[f32]>,
    how: &Emphasis,
    scale: f32,
) -> Var {
    let all = || weights.map_or_else(|| vec![1.0; classes], <[f32]>::to_vec);
    match (how.focal_gamma, how.smoothing) {
        (Some(gamma), _) => tape.apply(Focal { labels, weights: all(), gamma, scale }, &[logits]),
        (None, smoothing) if smoothing == 0.0 && weights.is_none() => {
            tape.apply(CrossEntropy::new(labels, scale), &[logits])
        }
        (None, smoothing) => tape.apply(WeightedCrossEntropy { labels, weights: all(), smoothing, scale }, &[logits]),
    }
}

/// Records the loss of yes-or-no outputs: `targets` has a 0 or 1 for each of the logits.
fn binary_loss<B: Backend>(
    tape: &mut Tape<'_, B>,
    logits: Var,
    mut targets: Vec<f32>,
    how: &Emphasis,
    scale: f32,
) -> Var {
    if let Some(gamma) = how.focal_gamma {
        return tape.apply(BinaryFocal { targets, gamma, scale }, &[logits]);
    }
    targets.iter_mut().for_each(|t| *t = *t * (1.0 - how.smoothing) + 0.5 * how.smoothing);
    tape.apply(BinaryCrossEntropy { targets, scale }, &[logits])
}

/// The plain loss of one yes-or-no output.
fn binary_loss_of(logit: f32, target: bool) -> f64 {
    let z = f64::from(logit);
    let wrong = if target { -z } else { z };
    // log(1 + e^wrong) without overflow. Not `max`, which would hide NaN.
    let positive = if wrong < 0.0 { 0.0 } else { wrong };
    positive + (-wrong.abs()).exp().ln_1p()
}

/// What is said about one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The fields of [`Task::columns`].
    pub fields: Vec<String>,
    /// The same by name, with all digits.
    pub json: Map<String, Value>,
}

/// A probability, or any other number, as a table shows it.
fn shown(number: f64) -> String {
    format!("{number:.6}")
}

/// Names and numbers as a JSON object.
fn by_name(names: &[String], numbers: &[f64]) -> Value {
    names.iter().cloned().zip(numbers.iter().map(|&number| Value::from(number))).collect::<Map<_, _>>().into()
}

/// One `p_NAME` for each name.
fn probability_columns(names: &[String]) -> impl Iterator<Item = String> {
    names.iter().map(|name| format!("p_{name}"))
}
