//! Metrics of one class a row, from a confusion matrix, defined as scikit-learn defines them. Must not know models, batches or
//! files: it counts pairs of class numbers.

use super::tally::Tally;
use super::{MetricName, Summary, nan_if_null, ratio};
use serde::{Deserialize, Serialize};

mod agreement;
#[cfg(test)]
mod tests;

pub use agreement::ConfusedPair;

/// Counts of (true class, predicted class) pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[classes, classes]` row-major: row = true class, column = predicted class.
    counts: Vec<u64>,
}

/// Precision, recall, F1 and support of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Name of the class.
    pub name: String,
    /// Correct predictions of the class / predictions of the class; 0 when it was never predicted.
    pub precision: f64,
    /// Correct predictions of the class / rows of the class; 0 when it has no rows.
    pub recall: f64,
    /// `2 * correct / (predicted + support)`, the harmonic mean of both; 0 when both counts are 0.
    pub f1: f64,
    /// Rows whose true class this is.
    pub support: u64,
}

impl Confusion {
    /// An empty matrix over `classes` classes; at least one.
    pub fn new(classes: usize) -> Confusion {
        assert!(classes > 0, "Confusion::new: classes is 0, expected at least 1");
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    /// Counts one row. Panics when a number is not below the number of classes.
    pub fn add(&mut self, label: usize, prediction: usize) {
        let classes = self.classes;
        assert!(
            label < classes && prediction < classes,
            "Confusion::add: label {label}, prediction {prediction}, expected both below {classes}"
        );
        self.counts[label * classes + prediction] += 1;
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of rows counted.
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The count matrix, one inner vector a true class.
    pub fn matrix(&self) -> Vec<Vec<u64>> {
        self.counts.chunks(self.classes).map(<[u64]>::to_vec).collect()
    }

    fn correct(&self, class: usize) -> u64 {
        self.counts[class * self.classes + class]
    }

    fn support(&self, class: usize) -> u64 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }

    fn all_correct(&self) -> u64 {
        (0..self.classes).map(|class| self.correct(class)).sum()
    }

    fn tally(&self) -> Tally {
        let of = |count: fn(&Confusion, usize) -> u64| (0..self.classes).map(|class| count(self, class)).collect();
        Tally { support: of(Confusion::support), predicted: of(Confusion::predicted), correct: of(Confusion::correct) }
    }

    /// Share of rows predicted right; 0 without rows.
    pub fn accuracy(&self) -> f64 {
        self.tally().accuracy()
    }

    /// Precision, recall, F1 and support of class number `class`, under the name `name`
    /// (`precision_recall_fscore_support` with `zero_division=0`).
    pub fn class_metrics(&self, class: usize, name: &str) -> ClassMetrics {
        let (correct, support, predicted) = (self.correct(class), self.support(class), self.predicted(class));
        ClassMetrics {
            name: name.to_string(),
            precision: ratio(correct, predicted),
            recall: ratio(correct, support),
            f1: ratio(2 * correct, support + predicted),
            support,
        }
    }

    /// Mean F1 over the classes that occur in labels or predictions, each with the same weight: scikit-learn's
    /// `f1_score(average="macro", zero_division=0)` with its default label set, the union of both. A class of the model that
    /// occurs in neither does not count. 0 without rows.
    pub fn f1_macro(&self) -> f64 {
        self.tally().f1_macro()
    }

    /// Matthews correlation for any number of classes (Gorodkin 2004, R_K; scikit-learn's `matthews_corrcoef`):
    /// `(c n - sum t_k p_k) / sqrt((n^2 - sum p_k^2) (n^2 - sum t_k^2))` with `n` rows, `c` correct ones, `t_k` rows and `p_k`
    /// predictions of class `k`. Lies in -1..=1; 0 when the denominator is 0, that is when all labels or all predictions are
    /// one class.
    pub fn matthews(&self) -> f64 {
        self.tally().matthews()
    }

    /// Everything about one evaluation. `names` has one name a class, in the order of the class numbers.
    pub fn report(&self, loss: f64, names: &[String]) -> ClassificationReport {
        assert_eq!(names.len(), self.classes, "Confusion::report: names, expected one a class");
        ClassificationReport {
            accuracy: self.accuracy(),
            f1_macro: self.f1_macro(),
            mcc: self.matthews(),
            loss,
            per_class: (0..self.classes).map(|class| self.class_metrics(class, &names[class])).collect(),
            confusion: self.matrix(),
            rows: self.rows(),
        }
    }
}

/// The result of one evaluation of a classifier on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// See [`Confusion::accuracy`].
    pub accuracy: f64,
    /// See [`Confusion::f1_macro`].
    pub f1_macro: f64,
    /// See [`Confusion::matthews`].
    pub mcc: f64,
    /// Mean loss a row. JSON has no NaN: a loss that is not finite is written as `null` and read back as NaN.
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// One entry a class, in the order of the class numbers, absent classes included.
    pub per_class: Vec<ClassMetrics>,
    /// Counts: one row a true class, one column a predicted class.
    pub confusion: Vec<Vec<u64>>,
    /// Rows evaluated.
    pub rows: u64,
}

impl ClassificationReport {
    /// The numbers of the report that fit on one line.
    pub fn summary(&self) -> Summary {
        let values = vec![
            (MetricName::Accuracy, self.accuracy),
            (MetricName::F1Macro, self.f1_macro),
            (MetricName::Mcc, self.mcc),
            (MetricName::Loss, self.loss),
        ];
        Summary { values, rows: self.rows }
    }
}
