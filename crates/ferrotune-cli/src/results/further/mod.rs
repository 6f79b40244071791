//! What `evaluate` says of a classifier when it is asked further: parts of the rows, another model on the same rows, training rows near to mistakes; and
//! unasked, names of classes that seem exchanged. It puts in words and in JSON what the metrics compute.

mod against;
mod nearest;
mod slices;
#[cfg(test)]
mod tests;

pub use nearest::{Neighbour, nearest};

use crate::args::EvaluateArgs;
use crate::device::Machine;
use crate::exit::{Failure, usage};
use against::Comparison;
use ferrotune_data::{Table, Tokenizer, Wanted};
use ferrotune_train::metrics::{Classified, SwappedNames};
use serde::Serialize;
use slices::Slicing;
use std::path::Path;

/// Names of classes that are shown of an exchange.
const NAMED: usize = 12;

/// A classifier that was measured.
pub struct Evaluated<'a> {
    /// What was asked.
    pub args: &'a EvaluateArgs,
    /// Its folder.
    pub folder: &'a Path,
    /// How it cuts rows into tokens.
    pub tokenizer: &'a Tokenizer,
    /// The rows.
    pub table: &'a Table,
    /// The columns that they were read from, where they were named.
    pub columns: Option<&'a Wanted>,
    /// Their fields of each column of `--slice-by`.
    pub fields: &'a [Vec<String>],
    /// What it said of them.
    pub classified: &'a Classified,
}

/// What it was asked further.
#[derive(Serialize)]
pub struct Further {
    swapped_names: Option<SwappedNames>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slices: Option<Vec<Slicing>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
}

/// Refuses flags that need one class a row, for another task.
///
/// # Errors
/// Such flags.
pub fn check(args: &EvaluateArgs, task: &str) -> Result<(), Failure> {
    if args.further.slice_by_length == Some(0) {
        return Err(usage("--slice-by-length is 0; it must be at least 1"));
    }
    let said: Vec<&str> = args.mistakes.iter().map(|_| "--mistakes").chain(args.further.said()).collect();
    match said[..] {
        [flag, ..] if !one_class(task) => {
            Err(usage(format!("{flag} is for rows with one class each; the task of this model is {task}")))
        }
        _ => Ok(()),
    }
}

/// Whether the rows of a task have one class each.
fn one_class(task: &str) -> bool {
    matches!(task, "classification" | "binary")
}

impl Further {
    /// Answers what was asked, but for the nearest rows: [`nearest()`].
    ///
    /// # Errors
    /// Another model or file that cannot be read, or is not of the same rows.
    pub fn of<B: Machine>(backend: &B, evaluated: &Evaluated<'_>) -> Result<Further, Failure> {
        let Evaluated { args, classified, .. } = evaluated;
        let against = args.further.against.as_deref();
        Ok(Further {
            swapped_names: classified.confusion().swapped_names(&classified.names),
            slices: slices::of(evaluated)?,
            against: against.map(|other| against::compare(backend, evaluated, other)).transpose()?,
        })
    }

    /// As tables, each before an empty line.
    pub fn text(&self) -> String {
        let slices = self.slices.iter().flatten().map(Slicing::text);
        slices.chain(self.against.iter().map(Comparison::text)).map(|table| format!("{table}\n")).collect()
    }

    /// What a person must know before anything else.
    pub fn warning(&self) -> Option<String> {
        let SwappedNames { renamed, accuracy, accuracy_if_renamed } = self.swapped_names.as_ref()?;
        let pair = |moved: &ferrotune_train::metrics::Renamed| {
            format!(
                "rows labelled {} are predicted {} ({} of them; {} right)",
                moved.label, moved.predicted, moved.rows, moved.right
            )
        };
        let shown: Vec<String> = renamed.iter().take(NAMED).map(pair).collect();
        let more = renamed.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(", and {more} more classes") } else { String::new() };
        Some(format!(
            "names of classes seem to be exchanged: {}{more}. With these names exchanged the accuracy is {}, with the names as they are stored {}: \
             look at id2label in config.json of the model, and at the labels of the data",
            shown.join(", "),
            percent(*accuracy_if_renamed),
            percent(*accuracy)
        ))
    }
}

/// A share.
fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A probability that may be very small.
pub fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_string() } else { format!("{p:.4}") }
}
