//! Logits beside the truth, as one scalar temperature sees them: their loss at a temperature, how it changes, and how far the probabilities are
//! from what happens. Must not know how a temperature is chosen.

use crate::metrics::{calibration_error, reliability};
use crate::tasks::{argmax, sigmoid_at, softmax_at};
use serde::{Deserialize, Serialize};

/// Rows whose probabilities can be calibrated. All have the true answer beside the logits.
#[derive(Clone, Debug, PartialEq)]
pub enum Scored<'a> {
    /// One class a row, by softmax.
    Classes {
        /// `(rows, classes)`.
        logits: &'a [f32],
        /// Number of classes.
        classes: usize,
        /// The class of each row.
        labels: Vec<u32>,
    },
    /// One of two classes a row, by the sigmoid of one logit.
    Binary {
        /// One a row: that of the positive class.
        logits: &'a [f32],
        /// Whether each row is positive.
        truths: Vec<bool>,
    },
    /// Any number of labels a row, by a sigmoid each.
    Labels {
        /// `(rows, labels)`.
        logits: &'a [f32],
        /// Number of labels.
        labels: usize,
        /// `(rows, labels)`: whether each row has each label.
        truths: Vec<bool>,
    },
}

/// How good probabilities are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Mean negative log-likelihood in nats, of rows; of several labels a row of all pairs of row and label.
    pub log_loss: f64,
    /// Expected calibration error with 15 equally wide bins (Naeini et al. 2015; Guo et al. 2017): of the probability of the predicted class; of
    /// several labels a row of the probability of each label. `None` where one is no number, or there are no rows.
    pub calibration_error: Option<f64>,
}

/// The loss of one row at an inverse temperature, with its first and second derivative by that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loss {
    pub(super) value: f64,
    pub(super) slope: f64,
    pub(super) curvature: f64,
}

impl Loss {
    /// `logsumexp(β z) - β z_y`. With `d = z - max z`, `p = softmax(β z)`: the slope is `E_p[d] - d_y`, the curvature the variance of `d`.
    fn of_class(logits: &[f32], label: u32, inverse: f64) -> Loss {
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for &logit in logits {
            let distance = f64::from(logit) - largest;
            let weight = (inverse * distance).exp();
            sum += weight;
            first += weight * distance;
            second += weight * distance * distance;
        }
        let (mean, true_distance) = (first / sum, f64::from(logits[label as usize]) - largest);
        Loss {
            value: sum.ln() - inverse * true_distance,
            slope: mean - true_distance,
            curvature: (second / sum - mean * mean).max(0.0),
        }
    }

    /// `log(1 + e^(β w))` with `w` the logit towards the wrong answer.
    fn of_decision(logit: f32, truth: bool, inverse: f64) -> Loss {
        let wrong = f64::from(if truth { -logit } else { logit });
        let scaled = inverse * wrong;
        let (wrong_share, right_share) = (1.0 / (1.0 + (-scaled).exp()), 1.0 / (1.0 + scaled.exp()));
        Loss {
            value: scaled.max(0.0) + (-scaled.abs()).exp().ln_1p(),
            slope: wrong * wrong_share,
            curvature: wrong * wrong * wrong_share * right_share,
        }
    }

    fn plus(self, other: Loss) -> Loss {
        Loss {
            value: self.value + other.value,
            slope: self.slope + other.slope,
            curvature: self.curvature + other.curvature,
        }
    }
}

impl Scored<'_> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Scored::Classes { labels, .. } => labels.len(),
            Scored::Binary { truths, .. } => truths.len(),
            Scored::Labels { labels, truths, .. } => truths.len() / labels,
        }
    }

    fn logits(&self) -> &[f32] {
        let (Scored::Classes { logits, .. } | Scored::Binary { logits, .. } | Scored::Labels { logits, .. }) = self;
        logits
    }

    /// Whether all logits are finite.
    pub(super) fn is_finite(&self) -> bool {
        self.logits().iter().all(|logit| logit.is_finite())
    }

    /// What the mean of losses is over: rows, or pairs of row and label.
    pub(super) fn terms(&self) -> usize {
        match self {
            Scored::Classes { .. } | Scored::Binary { .. } => self.rows(),
            Scored::Labels { truths, .. } => truths.len(),
        }
    }

    /// Whether no answer is beaten by a wrong one: then the loss falls for ever with the temperature.
    pub(super) fn is_separated(&self) -> bool {
        match self {
            Scored::Classes { logits, classes, labels } => {
                let mut rows = logits.chunks(*classes).zip(labels);
                rows.all(|(row, &label)| row.iter().all(|&logit| logit <= row[label as usize]))
            }
            Scored::Binary { logits, truths } | Scored::Labels { logits, truths, .. } => {
                logits.iter().zip(truths).all(|(&logit, &truth)| if truth { logit >= 0.0 } else { logit <= 0.0 })
            }
        }
    }

    /// The losses of the rows at the temperature `1 / inverse`; those of a row's labels are summed.
    pub(super) fn losses(&self, inverse: f64) -> Box<dyn Iterator<Item = Loss> + '_> {
        match self {
            Scored::Classes { logits, classes, labels } => {
                let rows = logits.chunks(*classes).zip(labels);
                Box::new(rows.map(move |(row, &label)| Loss::of_class(row, label, inverse)))
            }
            Scored::Binary { logits, truths } => {
                let rows = logits.iter().zip(truths);
                Box::new(rows.map(move |(&logit, &truth)| Loss::of_decision(logit, truth, inverse)))
            }
            Scored::Labels { logits, labels, truths } => {
                let rows = logits.chunks(*labels).zip(truths.chunks(*labels));
                Box::new(rows.map(move |(row, truths)| {
                    let decisions = row.iter().zip(truths);
                    let losses = decisions.map(|(&logit, &truth)| Loss::of_decision(logit, truth, inverse));
                    losses.fold(Loss::default(), Loss::plus)
                }))
            }
        }
    }

    /// The sum of all rows' losses at the temperature `1 / inverse`.
    pub(super) fn sum(&self, inverse: f64) -> Loss {
        self.losses(inverse).fold(Loss::default(), Loss::plus)
    }

    /// Probabilities at a temperature, and whether what they are of happened: those of predicted classes; of several labels a row those of all
    /// labels.
    fn promises(&self, temperature: f64) -> Vec<(f64, bool)> {
        match self {
            Scored::Classes { logits, classes, labels } => {
                let promise = |(row, &label): (&[f32], &u32)| {
                    let best = argmax(row);
                    (softmax_at(row, temperature)[best], best == label as usize)
                };
                logits.chunks(*classes).zip(labels).map(promise).collect()
            }
            Scored::Binary { logits, truths } => {
                let promise = |(&logit, &truth): (&f32, &bool)| {
                    let positive = logit >= 0.0;
                    (sigmoid_at(if positive { logit } else { -logit }, temperature), positive == truth)
                };
                logits.iter().zip(truths).map(promise).collect()
            }
            Scored::Labels { logits, truths, .. } => {
                logits.iter().zip(truths).map(|(&logit, &truth)| (sigmoid_at(logit, temperature), truth)).collect()
            }
        }
    }

    /// How good the probabilities are at a temperature.
    pub fn quality(&self, temperature: f64) -> Quality {
        let promises = self.promises(temperature);
        let finite = promises.iter().all(|(probability, _)| probability.is_finite());
        let error = if finite { calibration_error(&reliability(promises.into_iter())) } else { None };
        let log_loss =
            if self.is_finite() { self.sum(1.0 / temperature).value / self.terms() as f64 } else { f64::NAN };
        Quality { log_loss, calibration_error: error }
    }
}
