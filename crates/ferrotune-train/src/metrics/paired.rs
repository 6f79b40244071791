//! Two classifiers on the same rows: on which one alone is right, and whether their figures differ by more than chance. Must not know models, files
//! or probabilities.

use super::bootstrap::percentiles;
use super::exact::mcnemar;
use super::tally::Tally;
use super::{Interval, RESAMPLES};
use ferrotune_data::{coins, resampled};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Permutations that are drawn, where there are more than can all be tried.
pub const PERMUTATIONS: usize = 10_000;
/// Differences that differ by no more than this are the same but for rounding.
const SAME: f64 = 1e-12;

/// A figure of both, and their difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Of the first.
    pub first: f64,
    /// Of the second.
    pub second: f64,
    /// The first minus the second.
    pub difference: f64,
    /// 95 % percentile interval of the difference: both are measured on the same resampled rows.
    pub interval: Interval,
    /// How often a difference at least as large, of either sign, comes about where chance alone decides for each row whose prediction is whose.
    pub permutation_p: f64,
}

/// What two classifiers said of the same labelled rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The rows.
    pub rows: u64,
    /// Rows that both predict right.
    pub both_right: u64,
    /// Rows that the first alone predicts right.
    pub first_only: u64,
    /// Rows that the second alone predicts right.
    pub second_only: u64,
    /// Rows that both predict wrong.
    pub neither: u64,
    /// See [`mcnemar`].
    pub mcnemar_p: f64,
    /// Share of rows predicted right.
    pub accuracy: Compared,
    /// Mean F1 over the classes that are labels or predictions, of each classifier its own.
    pub f1_macro: Compared,
    /// How many permutations the p-values are of.
    pub permutations: usize,
    /// Whether these are all that there are, so that the p-values are exact.
    pub all_permutations: bool,
    /// Resamples of the intervals.
    pub resamples: usize,
    /// What permutations and resamples depend on besides the rows.
    pub seed: u64,
}

/// Compares the predictions of two classifiers: a pure function of its arguments. `None` without rows. All class numbers are below `classes`.
///
/// The permutation test is that of paired samples (Fisher 1935; `scipy.stats.permutation_test` with `permutation_type="samples"`): if the two are
/// equally good, their predictions of a row could as well be exchanged. Where no more than 13 rows are predicted differently, all exchanges
/// are tried; else [`PERMUTATIONS`] are drawn, and p is `(n + 1) / (N + 1)` (Phipson & Smyth 2010), never 0.
///
/// # Panics
/// When the lengths disagree.
pub fn paired(labels: &[usize], first: &[usize], second: &[usize], classes: usize, seed: u64) -> Option<Paired> {
    let rows = labels.len();
    assert!(
        first.len() == rows && second.len() == rows,
        "paired: predictions of {} and {} rows, labels of {rows}",
        first.len(),
        second.len()
    );
    if rows == 0 {
        return None;
    }
    let mut counts = [[0_u64; 2]; 2];
    let mut tallies = [Tally::new(classes), Tally::new(classes)];
    for ((&label, &a), &b) in labels.iter().zip(first).zip(second) {
        counts[usize::from(a == label)][usize::from(b == label)] += 1;
        tallies[0].add(label, a);
        tallies[1].add(label, b);
    }
    let [[neither, second_only], [first_only, both_right]] = counts;
    let figures = tallies.each_ref().map(figures);
    let [accuracy, f1_macro] = [0, 1].map(|figure| figures[0][figure] - figures[1][figure]);
    let permuted = permuted(labels, first, second, classes, seed, [accuracy, f1_macro]);
    let [accuracy_interval, f1_interval] = resampled_differences(labels, first, second, classes, seed);
    let compared = |figure: usize, difference: f64, interval: Interval| Compared {
        first: figures[0][figure],
        second: figures[1][figure],
        difference,
        interval,
        permutation_p: permuted.p[figure],
    };
    Some(Paired {
        rows: rows as u64,
        both_right,
        first_only,
        second_only,
        neither,
        mcnemar_p: mcnemar(first_only, second_only),
        accuracy: compared(0, accuracy, accuracy_interval),
        f1_macro: compared(1, f1_macro, f1_interval),
        permutations: permuted.permutations,
        all_permutations: permuted.all,
        resamples: RESAMPLES,
        seed,
    })
}

/// By how much the first is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The first minus the second.
    pub difference: f64,
    /// See [`Compared::interval`].
    pub interval: Interval,
}

/// The differences of accuracy and macro F1 that [`paired`] gives, without its tests, whose permutations take ten times as long. `None` without rows.
pub fn gains(labels: &[usize], first: &[usize], second: &[usize], classes: usize, seed: u64) -> Option<[Gain; 2]> {
    if labels.is_empty() {
        return None;
    }
    let mut tallies = [Tally::new(classes), Tally::new(classes)];
    for ((&label, &a), &b) in labels.iter().zip(first).zip(second) {
        tallies[0].add(label, a);
        tallies[1].add(label, b);
    }
    let [accuracy, f1_macro] = differences(&tallies);
    let [of_accuracy, of_f1] = resampled_differences(labels, first, second, classes, seed);
    Some([Gain { difference: accuracy, interval: of_accuracy }, Gain { difference: f1_macro, interval: of_f1 }])
}

/// Accuracy and macro F1.
fn figures(tally: &Tally) -> [f64; 2] {
    [tally.accuracy(), tally.f1_macro()]
}

/// The same, of the first minus of the second.
fn differences(tallies: &[Tally; 2]) -> [f64; 2] {
    let [first, second] = tallies.each_ref().map(figures);
    [first[0] - second[0], first[1] - second[1]]
}

struct Permuted {
    p: [f64; 2],
    permutations: usize,
    all: bool,
}

fn permuted(
    labels: &[usize],
    first: &[usize],
    second: &[usize],
    classes: usize,
    seed: u64,
    observed: [f64; 2],
) -> Permuted {
    // An exchange of equal predictions changes nothing, so these are counted once.
    let mut same = Tally::new(classes);
    let mut differing = Vec::new();
    for ((&label, &a), &b) in labels.iter().zip(first).zip(second) {
        if a == b {
            same.add(label, a);
        } else {
            differing.push((label, a, b));
        }
    }
    let mut tallies = [same.clone(), same.clone()];
    let mut as_large = [0_usize; 2];
    let mut try_one = |exchanged: &mut dyn Iterator<Item = bool>| {
        tallies.iter_mut().for_each(|tally| tally.set(&same));
        for (&(label, a, b), exchanged) in differing.iter().zip(exchanged) {
            let (a, b) = if exchanged { (b, a) } else { (a, b) };
            tallies[0].add(label, a);
            tallies[1].add(label, b);
        }
        for ((count, difference), observed) in as_large.iter_mut().zip(differences(&tallies)).zip(observed) {
            *count += usize::from(difference.abs() >= observed.abs() - SAME);
        }
    };
    let all = differing.len() < usize::BITS as usize && 1 << differing.len() <= PERMUTATIONS;
    if all {
        let permutations = 1_usize << differing.len();
        (0..permutations).for_each(|number| try_one(&mut (0..differing.len()).map(|row| number >> row & 1 == 1)));
        return Permuted { p: as_large.map(|count| count as f64 / permutations as f64), permutations, all };
    }
    (0..PERMUTATIONS as u64).for_each(|number| try_one(&mut coins(differing.len(), seed, number)));
    let p = as_large.map(|count| (count + 1) as f64 / (PERMUTATIONS + 1) as f64);
    Permuted { p, permutations: PERMUTATIONS, all }
}

fn resampled_differences(
    labels: &[usize],
    first: &[usize],
    second: &[usize],
    classes: usize,
    seed: u64,
) -> [Interval; 2] {
    let empty = Tally::new(classes);
    let mut tallies = [empty.clone(), empty.clone()];
    let mut drawn: [Vec<f64>; 2] = Default::default();
    for number in 0..RESAMPLES as u64 {
        tallies.iter_mut().for_each(|tally| tally.set(&empty));
        for row in resampled(labels.len(), seed, number) {
            tallies[0].add(labels[row], first[row]);
            tallies[1].add(labels[row], second[row]);
        }
        drawn.iter_mut().zip(differences(&tallies)).for_each(|(all, difference)| all.push(difference));
    }
    drawn.map(percentiles)
}
