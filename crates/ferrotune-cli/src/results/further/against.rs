//! Another model on the same rows, or what `predict` wrote of it: reads or makes its predictions, and shows how both compare. It computes nothing.

use super::{Evaluated, one_class, p_value, percent};
use crate::device::Machine;
use crate::exit::{DATA, Failure, usage};
use crate::model::find::find_model;
use crate::model::fine_tuned::{Cutter, FineTuned};
use ferrotune_data::{Need, Source, Table, Wanted};
use ferrotune_train::evaluate::answers;
use ferrotune_train::metrics::{Compared, LEVEL, Paired, paired};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

/// The column of predictions that holds the class.
const PREDICTED: &str = "predicted_label";

/// Both on the same rows; the first is the model that is evaluated.
#[derive(Debug, Serialize)]
pub struct Comparison {
    other: String,
    #[serde(flatten)]
    paired: Paired,
}

/// Compares with the model in a folder, or with a file of predictions.
///
/// # Errors
/// Neither; a model of another task; predictions of other rows.
pub fn compare<B: Machine>(backend: &B, evaluated: &Evaluated<'_>, other: &str) -> Result<Comparison, Failure> {
    let said = if Path::new(other).is_file() {
        from_file(Path::new(other), evaluated.table, evaluated.columns)?
    } else {
        from_model(backend, other, evaluated)?
    };
    let classified = evaluated.classified;
    // The other may know classes that this one does not.
    let mut numbers: HashMap<&str, usize> = classified.names.iter().map(String::as_str).zip(0..).collect();
    let mut number = |name| {
        let next = numbers.len();
        *numbers.entry(name).or_insert(next)
    };
    let second: Vec<usize> = said.iter().map(|name| number(name.as_str())).collect();
    let classes = numbers.len();
    let own = classified.names.len();
    let unknown = second.iter().filter(|&&class| class >= own).count();
    if unknown > 0 {
        eprintln!(
            "against    {unknown} of {} rows are predicted as classes that this model does not have",
            second.len()
        );
    }
    let paired = paired(&classified.labels, &classified.predictions, &second, classes, evaluated.args.further.seed);
    Ok(Comparison { other: other.to_string(), paired: paired.expect("a table has rows") })
}

/// The names that a model gives these rows.
fn from_model<B: Machine>(backend: &B, other: &str, evaluated: &Evaluated<'_>) -> Result<Vec<String>, Failure> {
    let mut model = FineTuned::read(backend, find_model(other)?.folder)?;
    if !one_class(model.task.name()) {
        let name = model.task.name();
        return Err(usage(format!("--against {other}: its task is {name}, and rows with one class each are compared")));
    }
    if model.check_pair(evaluated.table.pair, evaluated.args.data.display()).is_err() {
        return Err(usage(format!(
            "--against {other}: of the two models one was trained on pairs of texts and one on single texts; they cannot read the same rows"
        )));
    }
    let Cutter { tokenizer, .. } = model.cutter(evaluated.args.max_length)?;
    let rows = &evaluated.table.rows;
    let encoded = tokenizer.encode(rows)?;
    let scores = model.logits(backend, &encoded)?;
    let FineTuned { loaded, task, .. } = &model;
    let answers = answers(&scores, &encoded, loaded.labels.len());
    let place = task.columns().iter().position(|column| column == PREDICTED).expect("a task of classes predicts one");
    Ok(rows.iter().zip(answers).map(|(row, answer)| task.predict(row, answer).fields.swap_remove(place)).collect())
}

/// The names in a file of predictions, whose rows must be these.
fn from_file(path: &Path, table: &Table, columns: Option<&Wanted>) -> Result<Vec<String>, Failure> {
    let shown = path.display();
    let source = Source::file(path);
    if !source.headers()?.iter().any(|header| header == PREDICTED) {
        return Err(usage(format!(
            "--against {shown}: it has no column {PREDICTED}; name a model folder, or a .csv that `ferrotune predict` wrote for the rows of --data"
        )));
    }
    let columns = columns.map(|columns| Wanted { label: None, ..columns.clone() });
    let (others, mut fields) = source.read_keeping(columns.as_ref(), Need::TextOnly, &[PREDICTED.to_string()])?;
    let other = |message: String| Failure { message: format!("{shown}{message}"), code: DATA };
    let data = table.path.display();
    if others.rows.len() != table.rows.len() {
        let (there, here) = (others.rows.len(), table.rows.len());
        return Err(other(format!(": {there} rows, and {data} has {here}; predictions must be of the same rows")));
    }
    for (there, here) in others.rows.iter().zip(&table.rows) {
        if (&there.text, &there.text_b) != (&here.text, &here.text_b) {
            let (line, at) = (there.line, here.line);
            return Err(other(format!(
                ", line {line}: another text than in {data}, line {at}; predictions must be of the same rows in the same order"
            )));
        }
    }
    let said = fields.remove(0);
    match said.iter().position(|name| name.is_empty()) {
        Some(row) => Err(other(format!(", line {}: {PREDICTED} is empty", others.rows[row].line))),
        None => Ok(said),
    }
}

impl Comparison {
    /// As a table.
    pub fn text(&self) -> String {
        let Paired { both_right, first_only, second_only, neither, mcnemar_p, accuracy, f1_macro, .. } = &self.paired;
        let mut text = format!("against {} on the same {} rows\n", self.other, self.paired.rows);
        let _ = writeln!(
            text,
            "both right {both_right}   this model alone {first_only}   the other alone {second_only}   neither {neither}   McNemar's exact test p {}",
            p_value(*mcnemar_p)
        );
        text.push_str("          this model  the other  difference  95 % interval        permutation test p\n");
        let points = |x: f64| format!("{:+.2}", 100.0 * x);
        let plain = |x: f64| format!("{x:+.4}");
        for (name, figure, share) in [("accuracy", accuracy, true), ("macro F1", f1_macro, false)] {
            let Compared { first, second, difference, interval, permutation_p } = figure;
            let (low, high) = (interval.low, interval.high);
            let cells = match share {
                true => [percent(*first), percent(*second), points(*difference), points(low), points(high)],
                false => [format!("{first:.4}"), format!("{second:.4}"), plain(*difference), plain(low), plain(high)],
            };
            let [first, second, difference, low, high] = cells;
            let interval = format!("{low} to {high}");
            let _ = writeln!(
                text,
                "{name}  {first:<10}  {second:<9}  {difference:<10}  {interval:<19}  {}",
                p_value(*permutation_p)
            );
        }
        let permutations = match self.paired.all_permutations {
            true => format!("all {} permutations", self.paired.permutations),
            false => format!("{} permutations", self.paired.permutations),
        };
        let _ = writeln!(
            text,
            "{permutations}, {} resamples of the rows, seed {}; accuracy: {}; macro F1: {}",
            self.paired.resamples,
            self.paired.seed,
            verdict(*mcnemar_p, accuracy.difference),
            verdict(f1_macro.permutation_p, f1_macro.difference)
        );
        text
    }
}

fn verdict(p: f64, difference: f64) -> &'static str {
    match (p < LEVEL, difference > 0.0) {
        (false, _) => "no difference beyond chance",
        (true, true) => "this model is better",
        (true, false) => "the other is better",
    }
}
