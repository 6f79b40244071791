//! The best evaluations of a run and their weights, and the mean of these. It must not know how weights are measured, saved or put back.

use crate::metrics::{MetricName, Report, nan_if_null};
use serde::{Deserialize, Serialize};

/// An evaluation that is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Best {
    /// Its epoch, counted from 1.
    pub epoch: u64,
    /// Optimizer steps done then.
    pub step: u64,
    /// The metric's value.
    #[serde(deserialize_with = "nan_if_null")]
    pub value: f64,
    /// All of it.
    pub report: Report,
    /// The trained parameters of that moment, in order.
    #[serde(skip)]
    pub weights: Vec<f32>,
}

/// The place of an evaluation among those that are kept, best first: before all that it is better than. Of equal values the lower loss is better: on few
/// rows an accuracy is soon that of an epoch before, and a correlation with scores that are all the same is not defined at all. An evaluation that
/// came earlier stays before one that is equal in both.
pub fn place(kept: &[Best], metric: MetricName, value: f64, loss: f64) -> usize {
    let better = |best: &Best| {
        metric.better(value, best.value)
            || !metric.better(best.value, value) && MetricName::Loss.better(loss, best.report.loss())
    };
    kept.iter().position(better).unwrap_or(kept.len())
}

/// The mean of the weights, summed in double precision.
///
/// Averages of several checkpoints of one run lie in a flatter and often better place than each of them: Izmailov et al. 2018,
/// <https://arxiv.org/abs/1803.05407>.
///
/// # Panics
/// If none are kept.
pub fn mean(kept: &[Best]) -> Vec<f32> {
    let share = 1.0 / kept.len() as f64;
    let of = |at: usize| (kept.iter().map(|best| f64::from(best.weights[at])).sum::<f64>() * share) as f32;
    (0..kept[0].weights.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::RegressionReport;

    fn best(value: f64, weights: &[f32]) -> Best {
        let report = Report::Regression(RegressionReport::of(&[1.5], &[1.0]));
        Best { epoch: 1, step: 1, value, report, weights: weights.to_vec() }
    }

    #[test]
    fn the_best_come_first_and_of_equals_the_earlier() {
        // Their loss is 0.25.
        let kept = [best(0.9, &[]), best(0.8, &[]), best(f64::NAN, &[])];
        for (value, expected) in [(0.95, 0), (0.9, 1), (0.85, 1), (0.8, 2), (0.1, 2), (f64::NAN, 3)] {
            assert_eq!(place(&kept, MetricName::Accuracy, value, 0.25), expected, "{value}");
        }
        for (value, loss, expected) in [(0.9, 0.2, 0), (0.9, 0.3, 1), (0.8, 0.2, 1), (f64::NAN, 0.2, 2), (0.1, 0.2, 2)]
        {
            assert_eq!(place(&kept, MetricName::Accuracy, value, loss), expected, "{value} with a loss of {loss}");
        }
        assert_eq!(place(&kept[..2], MetricName::Loss, 0.85, 0.85), 0, "of a loss the smaller is better");
        assert_eq!(place(&[], MetricName::Accuracy, f64::NAN, 1.0), 0, "the first evaluation is kept whatever it is");
    }

    #[test]
    fn the_mean_is_that_of_each_weight() {
        let kept = [best(0.9, &[1.0, -2.0]), best(0.8, &[2.0, -2.0]), best(0.7, &[6.0, -2.0])];
        assert_eq!(mean(&kept), [3.0, -2.0]);
        assert_eq!(mean(&kept[..1]), kept[0].weights);
        // A sum in single precision would lose the small one.
        assert_eq!(mean(&[best(0.9, &[1e8]), best(0.8, &[-1e8]), best(0.7, &[3e-2])]), [1e-2]);
    }
}
