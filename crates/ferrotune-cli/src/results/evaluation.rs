//! `evaluation.json` of a run folder: what a report shows of a finished run and no other file of it holds, so that a report can be made without the
//! model. It must not know how a report looks.

use crate::exit::{Failure, MODEL, io};
use crate::terminal::shown::short;
use ferrotune_data::Row;
use ferrotune_tensor::Backend;
use ferrotune_train::metrics::{ClassificationDetail, Interval, Intervals, by_length, wilson};
use ferrotune_train::tasks::{Answer, Targets, Task, WordTags, argmax, cross_entropy, sigmoid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[cfg(test)]
mod tests;

/// The file's name.
pub const FILE: &str = "evaluation.json";
/// The intervals are of the same draws as those of `evaluate`.
const SEED: u64 = 0;
/// Mistakes that are kept.
const MISTAKES: usize = 30;
/// Characters that are kept of a text.
const SHOWN: usize = 280;
/// Groups of rows by length.
const LENGTHS: usize = 5;
/// Points that are kept of a regression; of more, every so manieth.
const POINTS: usize = 2000;

/// What is kept of a finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The task's name.
    pub task: String,
    /// The encoder.
    pub model: Model,
    /// Rows of each part.
    pub rows: BTreeMap<String, usize>,
    /// SHA-256 of the files of each part.
    pub data: BTreeMap<String, String>,
    /// What it ran on.
    pub environment: Environment,
    /// What the short audit before training warned of.
    pub audit: Vec<String>,
    /// The rows that were looked at: test, else validation.
    pub measured: Option<Measured>,
}

/// The encoder of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its `model_type`.
    pub model_type: String,
    /// Its layers.
    pub layers: usize,
    /// Its width.
    pub hidden_size: usize,
    /// The numbers in it, head included.
    pub parameters: usize,
}

/// What a run ran on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The version of this program.
    pub ferrotune: String,
    /// `cpu`, or the GPU that was asked for.
    pub device: String,
    /// Instruction set, or kind of GPU.
    pub processor: String,
    /// What the system calls the processor, where it does (Linux).
    pub cpu: Option<String>,
    /// Of matrix products.
    pub precision: String,
    /// Threads.
    pub threads: usize,
    /// The operating system and architecture.
    pub system: String,
}

impl Environment {
    /// Of this process.
    pub fn here(device: String, processor: String, precision: String) -> Environment {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = cpuinfo.lines().find(|line| line.starts_with("model name"));
        Environment {
            ferrotune: env!("CARGO_PKG_VERSION").to_string(),
            device,
            processor,
            cpu: named.and_then(|line| Some(line.split_once(':')?.1.trim().to_string())),
            precision,
            threads: rayon::current_num_threads(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// What the model said of one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub split: String,
    /// Figures of probabilities, of tasks with one class a row.
    pub detail: Option<ClassificationDetail>,
    /// Intervals of their figures.
    pub intervals: Option<Intervals>,
    /// What the value of [`LengthGroup`] is; none where rows are not scored as a whole.
    pub by_length_of: Option<Figure>,
    /// Rows by the length of their texts in characters, both texts of a pair together.
    pub by_length: Vec<LengthGroup>,
    /// The rows with the highest loss among those that were predicted wrong, of numbers those with the largest error, of words those with the
    /// highest loss of their wrong words.
    pub mistakes: Vec<Mistake>,
    /// True and predicted number, of regression.
    pub points: Vec<[f64; 2]>,
}

/// What is shown for groups of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// The share of rows that are right.
    Accuracy,
    /// The share of rows whose set of labels is right.
    SubsetAccuracy,
    /// The mean absolute error.
    Mae,
}

/// Rows whose texts are about as long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthGroup {
    /// The shortest, in characters.
    pub from: usize,
    /// The longest.
    pub to: usize,
    /// Rows.
    pub rows: u64,
    /// Their figure.
    pub value: f64,
    /// Its interval of 95 % (Wilson), of shares.
    pub interval: Option<Interval>,
}

/// A row that was predicted wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its line in the file.
    pub line: u64,
    /// Its text, cut.
    pub text: String,
    /// The second text of a pair.
    pub text_b: Option<String>,
    /// What it should be.
    pub label: String,
    /// The probability of that, of one class a row.
    pub label_probability: Option<f64>,
    /// What the model said.
    pub predicted: String,
    /// The probability of that.
    pub probability: Option<f64>,
}

impl Mistake {
    fn of(row: &Row, label: String, predicted: String) -> Mistake {
        let text_b = row.text_b.as_deref().map(|text| short(text, SHOWN));
        let (text, line) = (short(&row.text, SHOWN), row.line);
        Mistake { line, text, text_b, label, label_probability: None, predicted, probability: None }
    }
}

impl Measured {
    /// What logits `(rows, labels)` of a part say. `rows` are those of the table.
    pub fn of<B: Backend>(
        split: &str,
        task: &dyn Task<B>,
        logits: &[f32],
        targets: &Targets,
        rows: &[Row],
    ) -> Measured {
        let empty = Measured {
            split: split.to_string(),
            detail: None,
            intervals: None,
            by_length_of: None,
            by_length: Vec::new(),
            mistakes: Vec::new(),
            points: Vec::new(),
        };
        match (task.classified(logits, targets), targets) {
            (Some(said), _) => {
                let right: Vec<bool> = said.labels.iter().zip(&said.predictions).map(|(a, b)| a == b).collect();
                let mistake = |wrong: ferrotune_train::metrics::Mistake| Mistake {
                    label_probability: finite(wrong.label_probability),
                    probability: finite(wrong.probability),
                    ..Mistake::of(
                        &rows[wrong.row],
                        said.names[wrong.label].clone(),
                        said.names[wrong.predicted].clone(),
                    )
                };
                Measured {
                    detail: Some(said.detail()),
                    intervals: Intervals::of(&said, SEED),
                    by_length_of: Some(Figure::Accuracy),
                    by_length: shares(rows, &right),
                    mistakes: said.mistakes(MISTAKES).into_iter().map(mistake).collect(),
                    ..empty
                }
            }
            (None, Targets::Sets(sets)) => of_sets(empty, task, logits, sets, rows),
            (None, Targets::Scores(scores)) => of_scores(empty, logits, scores, rows),
            (None, Targets::Words(tags)) => Measured { mistakes: of_words(task.labels(), logits, tags, rows), ..empty },
            (None, Targets::Classes(_) | Targets::Hidden(_)) => empty,
        }
    }
}

fn of_sets<B: Backend>(
    empty: Measured,
    task: &dyn Task<B>,
    logits: &[f32],
    sets: &[Vec<u32>],
    rows: &[Row],
) -> Measured {
    let names = task.labels();
    // The names that it gives depend on thresholds, which are the task's own affair.
    let given = |row: &Row, logits| {
        let said = task.predict(row, Answer { logits, words: &[] });
        said.json["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_string))
            .collect()
    };
    let mut wrong = Vec::new();
    let mut right = Vec::new();
    for ((logits, set), row) in logits.chunks(names.len()).zip(sets).zip(rows) {
        let real: Vec<String> = set.iter().map(|&label| names[label as usize].clone()).collect();
        let said: Vec<String> = given(row, logits);
        right.push(real == said);
        if real != said {
            let loss = |(label, &z): (usize, &f32)| {
                let real = set.contains(&(label as u32));
                -(if real { sigmoid(z) } else { sigmoid(-z) }).max(f64::MIN_POSITIVE).ln()
            };
            let loss: f64 = logits.iter().enumerate().map(loss).sum();
            wrong.push((loss, Mistake::of(row, real.join(", "), said.join(", "))));
        }
    }
    let (by_length_of, by_length) = (Some(Figure::SubsetAccuracy), shares(rows, &right));
    Measured { by_length_of, by_length, mistakes: worst(wrong), ..empty }
}

fn of_scores(empty: Measured, logits: &[f32], scores: &[f64], rows: &[Row]) -> Measured {
    let said: Vec<[f64; 2]> = scores.iter().zip(logits).map(|(&score, &z)| [score, f64::from(z)]).collect();
    let errors: Vec<f64> = said.iter().map(|[score, said]| (said - score).abs()).collect();
    let group = |bin: ferrotune_train::metrics::LengthBin| LengthGroup {
        from: bin.from,
        to: bin.to,
        rows: bin.rows,
        value: bin.mean,
        interval: None,
    };
    let every = said.len().div_ceil(POINTS).max(1);
    let wrong = said.iter().zip(&errors).zip(rows);
    let wrong = wrong.map(|(([score, said], &error), row)| (error, Mistake::of(row, number(*score), number(*said))));
    let diverged = errors.iter().any(|error| !error.is_finite());
    Measured {
        by_length_of: (!diverged).then_some(Figure::Mae),
        by_length: match diverged {
            true => Vec::new(),
            false => by_length(&lengths(rows), &errors, LENGTHS).into_iter().map(group).collect(),
        },
        mistakes: worst(wrong.collect()),
        points: said.into_iter().step_by(every).filter(|point| point.iter().all(|value| value.is_finite())).collect(),
        ..empty
    }
}

/// A word of a row, the tag that it has and the one that was said.
struct WrongWord {
    word: usize,
    tags: [u32; 2],
}

/// The rows of words with the highest loss of their wrong words: these, each with the tag that it has and the one that was said.
fn of_words(names: &[String], logits: &[f32], tags: &WordTags, rows: &[Row]) -> Vec<Mistake> {
    let mut wrong: BTreeMap<usize, (f64, Vec<WrongWord>)> = BTreeMap::new();
    for (row, word, real, scores) in tags.scored(logits, names.len()) {
        let said = argmax(scores) as u32;
        if real != said {
            let (loss, words) = wrong.entry(row).or_default();
            *loss += cross_entropy(scores, real as usize);
            words.push(WrongWord { word, tags: [real, said] });
        }
    }
    let mistake = |(row, (loss, mut words)): (usize, (f64, Vec<WrongWord>))| {
        let row = &rows[row];
        // A window may give words that stand before those of the last.
        words.sort_unstable_by_key(|wrong| wrong.word);
        let word = |word: usize| row.words.as_ref().map_or("", |words| &words[word]);
        let tagged = |which: usize| {
            let one = |wrong: &WrongWord| format!("{} {}", word(wrong.word), names[wrong.tags[which] as usize]);
            short(&words.iter().map(one).collect::<Vec<_>>().join(", "), SHOWN)
        };
        (loss, Mistake::of(row, tagged(0), tagged(1)))
    };
    worst(wrong.into_iter().map(mistake).collect())
}

fn number(value: f64) -> String {
    format!("{value:.3}")
}

/// JSON has no other numbers.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The first of these, highest loss first; those that are no number before all others.
fn worst(mut wrong: Vec<(f64, Mistake)>) -> Vec<Mistake> {
    let rank = |loss: f64| if loss.is_nan() { f64::INFINITY } else { loss };
    wrong.sort_by(|a, b| rank(b.0).total_cmp(&rank(a.0)));
    wrong.into_iter().take(MISTAKES).map(|(_, mistake)| mistake).collect()
}

fn lengths(rows: &[Row]) -> Vec<usize> {
    let length = |row: &Row| row.text.chars().count() + row.text_b.as_ref().map_or(0, |text| text.chars().count());
    rows.iter().map(length).collect()
}

fn shares(rows: &[Row], right: &[bool]) -> Vec<LengthGroup> {
    let values: Vec<f64> = right.iter().map(|&right| f64::from(u8::from(right))).collect();
    let bins = by_length(&lengths(rows), &values, LENGTHS);
    let group = |bin: ferrotune_train::metrics::LengthBin| LengthGroup {
        from: bin.from,
        to: bin.to,
        rows: bin.rows,
        value: bin.mean,
        interval: wilson((bin.mean * bin.rows as f64).round() as u64, bin.rows),
    };
    bins.into_iter().map(group).collect()
}

impl Evaluation {
    /// Reads the file of a run folder; none where there is no such file, as in folders of earlier versions and of `pretrain`.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Evaluation>, Failure> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(io(format!("cannot read {}", path.display())))?,
        };
        let damaged = |error| Failure { message: format!("{} is damaged: {error}", path.display()), code: MODEL };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }
}
