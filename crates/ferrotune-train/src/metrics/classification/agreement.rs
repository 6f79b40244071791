//! Figures of a confusion matrix that only a whole evaluation shows, defined as scikit-learn defines them.

use super::Confusion;
use crate::metrics::MeanOfClasses;
use serde::{Deserialize, Serialize};

/// Rows of one class that were taken for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// The true class.
    pub label: String,
    /// The predicted class, another one.
    pub predicted: String,
    /// How many rows; at least one.
    pub rows: u64,
}

impl Confusion {
    /// Mean recall over the classes that have rows (`balanced_accuracy_score`).
    pub fn balanced_accuracy(&self) -> MeanOfClasses {
        let with_rows = (0..self.classes).filter(|&class| self.support(class) > 0);
        MeanOfClasses::of(with_rows.map(|class| self.class_metrics(class, "").recall))
    }

    /// Mean F1 over rows, that is over classes weighted by their rows (`f1_score(average="weighted", zero_division=0)`). 0 without rows.
    pub fn f1_weighted(&self) -> f64 {
        let weighted = |class| self.class_metrics(class, "").f1 * self.support(class) as f64;
        let sum: f64 = (0..self.classes).map(weighted).sum();
        if self.rows() == 0 { 0.0 } else { sum / self.rows() as f64 }
    }

    /// Cohen's kappa (Cohen 1960, `cohen_kappa_score`): `(p_o - p_e) / (1 - p_e)`, where `p_o` is the accuracy and `p_e` what chance would reach
    /// with the same shares of labels and predictions. `None` where chance cannot fail: all labels and all predictions are one class.
    pub fn cohen_kappa(&self) -> Option<f64> {
        // Whole numbers up to rows^2, so that a zero denominator is truly zero.
        let rows = i128::from(self.rows());
        let product = |class| i128::from(self.support(class)) * i128::from(self.predicted(class));
        let chance: i128 = (0..self.classes).map(product).sum();
        let possible = rows * rows - chance;
        (possible > 0).then(|| (i128::from(self.all_correct()) * rows - chance) as f64 / possible as f64)
    }

    /// The pairs of different classes that were confused most often, at most `most`; of equals those that come first by true, then by predicted
    /// class. `names` has one name a class.
    pub fn most_confused(&self, names: &[String], most: usize) -> Vec<ConfusedPair> {
        let cells =
            self.counts.iter().enumerate().map(|(cell, &rows)| (cell / self.classes, cell % self.classes, rows));
        let mut wrong: Vec<_> = cells.filter(|&(label, predicted, rows)| label != predicted && rows > 0).collect();
        wrong.sort_by_key(|&(.., rows)| std::cmp::Reverse(rows));
        let pair = |(label, predicted, rows): (usize, usize, u64)| ConfusedPair {
            label: names[label].clone(),
            predicted: names[predicted].clone(),
            rows,
        };
        wrong.into_iter().take(most).map(pair).collect()
    }
}
