//! How far figures of a classifier could be from what they are, had other rows of the same kind been drawn: bootstrap intervals. Must not
//! know probabilities or files.

use super::Classified;
use super::tally::Tally;
use ferrotune_data::resampled;
use serde::{Deserialize, Serialize};

/// Times that the rows are drawn anew.
pub const RESAMPLES: usize = 1000;
/// Where the ordered figures are cut off: the 25th of 1000 from below and from above.
const CUT: usize = RESAMPLES / 40;

/// Two ends, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// 95 % percentile intervals (Efron & Tibshirani 1993, section 13.3): rows are drawn with replacement, as many as there are, [`RESAMPLES`] times;
/// the ends are the `B α`th figure in order from below and the `B (1 - α)`th, with `B` resamples and `α` 0.025. They hold the chance of the rows
/// and not that of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// The share of intervals made in this way that should hold the true figure.
    pub level: f64,
    /// [`RESAMPLES`].
    pub resamples: usize,
    /// What the draws depend on besides the number of rows.
    pub seed: u64,
    /// Of [`Confusion::accuracy`](super::Confusion::accuracy).
    pub accuracy: Interval,
    /// Of [`Confusion::f1_macro`](super::Confusion::f1_macro).
    pub f1_macro: Interval,
    /// Of [`Confusion::matthews`](super::Confusion::matthews).
    pub mcc: Interval,
}

impl Intervals {
    /// The intervals of these rows: a pure function of its arguments. `None` without rows.
    pub fn of(classified: &Classified, seed: u64) -> Option<Intervals> {
        let said: Vec<(usize, usize)> =
            classified.labels.iter().copied().zip(classified.predictions.iter().copied()).collect();
        if said.is_empty() {
            return None;
        }
        let mut figures: [Vec<f64>; 3] = Default::default();
        let empty = Tally::new(classified.names.len());
        let mut tally = empty.clone();
        for number in 0..RESAMPLES as u64 {
            tally.set(&empty);
            resampled(said.len(), seed, number).for_each(|row| tally.add(said[row].0, said[row].1));
            let drawn = [tally.accuracy(), tally.f1_macro(), tally.matthews()];
            figures.iter_mut().zip(drawn).for_each(|(all, figure)| all.push(figure));
        }
        let [accuracy, f1_macro, mcc] = figures.map(percentiles);
        Some(Intervals { level: 0.95, resamples: RESAMPLES, seed, accuracy, f1_macro, mcc })
    }
}

/// The interval between the percentiles of [`RESAMPLES`] figures.
pub(super) fn percentiles(mut figures: Vec<f64>) -> Interval {
    figures.sort_by(f64::total_cmp);
    Interval { low: figures[CUT - 1], high: figures[RESAMPLES - CUT - 1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rows` rows of two classes in turn, of which every `wrong`th is predicted wrong.
    fn classified(rows: usize, wrong: usize) -> Classified {
        let labels: Vec<usize> = (0..rows).map(|row| row % 2).collect();
        let said = labels.iter().enumerate().map(|(row, &label)| if row % wrong == 0 { 1 - label } else { label });
        Classified {
            names: vec!["a".to_string(), "b".to_string()],
            predictions: said.collect(),
            labels,
            probabilities: vec![0.5; 2 * rows],
        }
    }

    #[test]
    fn percentiles_are_the_25th_and_the_975th() {
        let shuffled = ferrotune_data::shuffled(RESAMPLES, 3, 1).into_iter().map(|n| (n + 1) as f64).collect();
        assert_eq!(percentiles(shuffled), Interval { low: 25.0, high: 975.0 });
    }

    /// The number right of n resampled rows is binomial with the measured share p, so the ends lie near p ± 1.96 sqrt(p (1 - p) / n).
    #[test]
    fn the_interval_of_the_accuracy_is_the_binomial_one() {
        for (rows, wrong) in [(400, 5), (2000, 3), (2000, 11)] {
            let classified = classified(rows, wrong);
            let accuracy = classified.confusion().accuracy();
            let spread = (accuracy * (1.0 - accuracy) / rows as f64).sqrt();
            let found = Intervals::of(&classified, 0).unwrap().accuracy;
            // The end is a quantile of 1000 draws: its own deviation is sqrt(0.025 * 0.975 / 1000) / 0.0584, 0.085 spreads; four of them,
            // and the whole row by which the binomial is not smooth.
            let allowed = 4.0 * 0.085 * spread + 1.0 / rows as f64;
            let (low, high) = (accuracy - 1.96 * spread, accuracy + 1.96 * spread);
            assert!(
                (found.low - low).abs() < allowed && (found.high - high).abs() < allowed,
                "{found:?}, {low} {high}"
            );
        }
    }

    #[test]
    fn the_figures_lie_inside_and_the_seed_alone_decides() {
        let classified = classified(90, 4);
        let (confusion, found) = (classified.confusion(), Intervals::of(&classified, 7).unwrap());
        let figures = [
            (confusion.accuracy(), found.accuracy),
            (confusion.f1_macro(), found.f1_macro),
            (confusion.matthews(), found.mcc),
        ];
        for (figure, Interval { low, high }) in figures {
            assert!(low < figure && figure < high, "{low} {figure} {high}");
        }
        assert_eq!(Intervals::of(&classified, 7).unwrap(), found);
        assert_ne!(Intervals::of(&classified, 8).unwrap().mcc, found.mcc);
        let nothing = Classified { labels: vec![], predictions: vec![], probabilities: vec![], ..classified };
        assert_eq!(Intervals::of(&nothing, 7), None);
    }
}
