//! What an evaluation of a classifier shows beyond the report that training makes after each epoch: figures of its probabilities, and those
//! of the confusion matrix that the report leaves out. Must not know models, files or how a task makes its probabilities.

use super::calibration::{ReliabilityBin, calibration_error, reliability};
use super::ranking::Ranking;
use super::{ConfusedPair, Confusion};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Pairs of classes that a detail names.
const CONFUSED_PAIRS: usize = 5;

/// What a classifier said of labelled rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    /// The names of the classes.
    pub names: Vec<String>,
    /// The true class of each row.
    pub labels: Vec<usize>,
    /// The predicted class of each row.
    pub predictions: Vec<usize>,
    /// Row-major `(rows, classes)`.
    pub probabilities: Vec<f64>,
}

/// A mean over the classes for which a figure is defined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanOfClasses {
    /// The mean; `None` if it is defined for no class.
    pub value: Option<f64>,
    /// The classes that the mean is of.
    pub classes: usize,
}

impl MeanOfClasses {
    /// The mean of these.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> MeanOfClasses {
        let (mut sum, mut classes) = (0.0, 0);
        for value in values {
            sum += value;
            classes += 1;
        }
        MeanOfClasses { value: (classes > 0).then(|| sum / classes as f64), classes }
    }
}

/// One class against all others, ranked by its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassRanking {
    /// Name of the class.
    pub name: String,
    /// The probability that a row of the class ranks above another row, equal ones counting half; `None` if all rows or none are of the class.
    pub roc_auc: Option<f64>,
    /// Mean of the precisions at each row of the class; `None` as before.
    pub average_precision: Option<f64>,
}

/// The figures. Those of probabilities are not defined, `None`, where one is not a finite number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationDetail {
    /// See [`Confusion::balanced_accuracy`].
    pub balanced_accuracy: MeanOfClasses,
    /// See [`Confusion::f1_weighted`].
    pub f1_weighted: f64,
    /// See [`Confusion::cohen_kappa`].
    pub cohen_kappa: Option<f64>,
    /// See [`Confusion::most_confused`]; at most five.
    pub most_confused: Vec<ConfusedPair>,
    /// Mean over rows of the sum over classes of `(p - 1)^2` for the true class and `p^2` for the others (Brier 1950): 0 to 2 for any number of
    /// classes. With two classes that is twice the figure of the positive class alone, which others give (`brier_score_loss` with
    /// `scale_by_half=False` is this one).
    pub brier: Option<f64>,
    /// Mean over classes of [`ClassRanking::roc_auc`]. Of two classes both have the same, the usual binary figure.
    pub roc_auc: MeanOfClasses,
    /// Mean over classes of [`ClassRanking::average_precision`].
    pub average_precision: MeanOfClasses,
    /// Each class against all others.
    pub rankings: Vec<ClassRanking>,
    /// Expected calibration error of the predicted classes' probabilities, over [`ClassificationDetail::reliability`].
    pub calibration_error: Option<f64>,
    /// The bins, from probability 0 to 1, empty ones included; none where a probability is not finite.
    pub reliability: Vec<ReliabilityBin>,
}

impl Classified {
    /// The probabilities of each row.
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.probabilities.chunks(self.names.len())
    }

    /// Counts of true and predicted classes.
    pub fn confusion(&self) -> Confusion {
        let mut confusion = Confusion::new(self.names.len());
        self.labels.iter().zip(&self.predictions).for_each(|(&label, &prediction)| confusion.add(label, prediction));
        confusion
    }

    /// All figures.
    pub fn detail(&self) -> ClassificationDetail {
        let confusion = self.confusion();
        let finite = self.probabilities.iter().all(|p| p.is_finite());
        let rankings: Vec<ClassRanking> = (0..self.names.len()).map(|class| self.ranking(class, finite)).collect();
        let reliability = if finite { reliability(self.confidences()) } else { Vec::new() };
        ClassificationDetail {
            balanced_accuracy: confusion.balanced_accuracy(),
            f1_weighted: confusion.f1_weighted(),
            cohen_kappa: confusion.cohen_kappa(),
            most_confused: confusion.most_confused(&self.names, CONFUSED_PAIRS),
            brier: self.brier().filter(|_| finite),
            roc_auc: MeanOfClasses::of(rankings.iter().filter_map(|class| class.roc_auc)),
            average_precision: MeanOfClasses::of(rankings.iter().filter_map(|class| class.average_precision)),
            rankings,
            calibration_error: calibration_error(&reliability),
            reliability,
        }
    }

    fn ranking(&self, class: usize, finite: bool) -> ClassRanking {
        let scores = self.rows().zip(&self.labels).map(|(row, &label)| (row[class], label == class));
        let ranking = if finite { Ranking::of(scores) } else { None };
        ClassRanking {
            name: self.names[class].clone(),
            roc_auc: ranking.map(|ranking| ranking.roc_auc),
            average_precision: ranking.map(|ranking| ranking.average_precision),
        }
    }

    /// The probability of each row's predicted class, and whether that is right.
    pub fn confidences(&self) -> impl Iterator<Item = (f64, bool)> {
        let said = self.predictions.iter().zip(&self.labels);
        self.rows().zip(said).map(|(row, (&prediction, label))| (row[prediction], prediction == *label))
    }

    fn brier(&self) -> Option<f64> {
        let squares = |(row, &label): (&[f64], &usize)| -> f64 {
            row.iter().enumerate().map(|(class, p)| (p - f64::from(u8::from(class == label))).powi(2)).sum()
        };
        let sum: f64 = self.rows().zip(&self.labels).map(squares).sum();
        (!self.labels.is_empty()).then(|| sum / self.labels.len() as f64)
    }
}
