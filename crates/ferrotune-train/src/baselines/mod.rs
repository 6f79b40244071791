//! What a fine-tuned classifier has to be better than: the most frequent class, logistic regression on words, and logistic regression on what the
//! frozen encoder says of a row. It must not know files, encoders or printing.

mod logistic;
mod objective;
#[cfg(test)]
mod tests;

pub use logistic::{Logistic, LogisticError};

use crate::metrics::Classified;
use crate::tasks::Targets;
use ferrotune_data::{Row, TfIdf};

/// The inverse strength of the L2 penalty of [`words`], `C` of scikit-learn. Ten times its default: on each of four public sets (SST-2, clinc150,
/// sms_spam, imdb) better by 1 to 3 points, and a baseline should be hard to beat.
pub const WORDS_C: f64 = 10.0;
/// Weights of [`words`] at most, so that the memory of its optimiser stays below a GiB: of many classes the most frequent words alone are read.
const MOST_WEIGHTS: usize = 5_000_000;

/// Rows with one class each.
#[derive(Clone, Copy)]
pub struct ClassRows<'a> {
    /// The rows.
    pub rows: &'a [Row],
    /// The class of each.
    pub classes: &'a [u32],
}

impl<'a> ClassRows<'a> {
    /// Rows with these targets.
    ///
    /// # Panics
    /// If these are no classes, one a row.
    pub fn of(rows: &'a [Row], targets: &'a Targets) -> ClassRows<'a> {
        let classes = targets.class_ids().expect("baselines: rows without one class each");
        assert_eq!(rows.len(), classes.len(), "baselines: rows and their classes");
        ClassRows { rows, classes }
    }
}

/// The most frequent class of the training rows for every row, of equally frequent ones the first; probabilities are the shares of the classes.
pub fn majority(train: &[u32], measured: &[u32], names: &[String]) -> Classified {
    let mut counts = vec![0u64; names.len()];
    train.iter().for_each(|&class| counts[class as usize] += 1);
    let shares: Vec<f64> = counts.iter().map(|&count| count as f64 / train.len() as f64).collect();
    let most = (0..names.len()).rev().max_by_key(|&class| counts[class]).expect("there are classes");
    Classified {
        names: names.to_vec(),
        labels: measured.iter().map(|&class| class as usize).collect(),
        predictions: vec![most; measured.len()],
        probabilities: measured.iter().flat_map(|_| shares.iter().copied()).collect(),
    }
}

/// Logistic regression on TF-IDF ([`TfIdf`], [`Logistic`]) with [`WORDS_C`]. A pure function of its arguments.
///
/// # Errors
/// The optimiser came to no end.
pub fn words(train: ClassRows<'_>, measured: ClassRows<'_>, names: &[String]) -> Result<Classified, LogisticError> {
    let tf_idf = TfIdf::fit(train.rows, MOST_WEIGHTS / names.len());
    let model = Logistic::fit(&tf_idf.transform(train.rows), train.classes, names.len(), WORDS_C)?;
    let probabilities = model.probabilities(&tf_idf.transform(measured.rows));
    Ok(of_probabilities(probabilities, measured.classes, names))
}

/// What a classifier says that gives these probabilities, `(rows, classes)`.
pub fn of_probabilities(probabilities: Vec<f64>, labels: &[u32], names: &[String]) -> Classified {
    let best =
        |row: &[f64]| (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("there are classes");
    Classified {
        names: names.to_vec(),
        labels: labels.iter().map(|&class| class as usize).collect(),
        predictions: probabilities.chunks(names.len()).map(best).collect(),
        probabilities,
    }
}
