//! The confidence below which a model had better say nothing, for an accuracy that a person asks for. Must not know where confidence comes from.

use super::binomial::{at_most, upper_limit};
use super::coverage::{Cut, Ranked};
use serde::{Deserialize, Serialize};

/// A threshold, and what was seen of it on the rows that chose it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abstention {
    /// Rows whose confidence is below this are not answered.
    pub below: f64,
    /// The accuracy of answered rows that was asked for; `None` where the threshold itself was said.
    pub target_accuracy: Option<f64>,
    /// How sure it is that other rows of the same kind meet the target; 0 where the threshold met it on these rows and nothing more is known.
    pub certainty: f64,
    /// The accuracy of which that can be said; `None` with certainty 0.
    pub accuracy_at_least: Option<f64>,
    /// Rows that there were.
    pub rows: u64,
    /// Rows that were answered.
    pub answered: u64,
    /// The share of these that was right; `None` where none was answered.
    pub accuracy: Option<f64>,
}

/// No threshold meets the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Answered rows, all of them right, that there would have to be at least.
    pub needed: u64,
}

impl Abstention {
    /// A threshold that somebody chose.
    pub fn below(below: f64, rows: &Ranked) -> Abstention {
        let (answered, wrong) = rows.answered(below);
        Abstention {
            below,
            target_accuracy: None,
            certainty: 0.0,
            accuracy_at_least: None,
            rows: rows.rows(),
            answered,
            accuracy: (answered > 0).then(|| (answered - wrong) as f64 / answered as f64),
        }
    }

    /// The lowest threshold whose answered rows have at least this accuracy on these rows. It may be lucky.
    ///
    /// # Errors
    /// There is none.
    pub fn meeting(target: f64, rows: &Ranked) -> Result<Abstention, Unreachable> {
        let cut = rows.cuts().iter().rfind(|cut| cut.accuracy() >= target).ok_or(Unreachable { needed: 1 })?;
        Ok(Abstention { target_accuracy: Some(target), ..Abstention::below(threshold(cut, rows), rows) })
    }

    /// A low threshold of which it is as sure as `certainty` (between 0 and 1) that rows from where these come have at least the accuracy
    /// `target` (below 1) among those that are answered: selection with guaranteed risk (Geifman & El-Yaniv 2017, algorithm 1).
    ///
    /// It tests whether all rows may be answered, then searches by halves for the most that may; of each of these thresholds the chance of so few
    /// errors, were the accuracy only the target, must be at most `(1 - certainty)` over the number of tests (Bonferroni). What is tested depends
    /// on what was found before; the bound holds all the same where errors grow as confidence falls, for then the tests before the first wrong
    /// acceptance are the same ones whatever the rows.
    ///
    /// # Errors
    /// No threshold passes.
    pub fn guaranteeing(target: f64, certainty: f64, rows: &Ranked) -> Result<Abstention, Unreachable> {
        let cuts = rows.cuts();
        let tail = tail(certainty, cuts.len());
        let passes = |cut: &Cut| at_most(cut.wrong, cut.rows, 1.0 - target) <= tail;
        let all = cuts.len() - 1;
        let mut best = passes(&cuts[all]).then_some(all);
        if best.is_none() {
            // Cuts below `fails` may pass; `next` is the smallest that is not known to.
            let (mut next, mut fails) = (0, all);
            while next < fails {
                let middle = next + (fails - next) / 2;
                match passes(&cuts[middle]) {
                    true => (best, next) = (Some(middle), middle + 1),
                    false => fails = middle,
                }
            }
        }
        let cut = &cuts[best.ok_or_else(|| Unreachable { needed: needed(target, certainty, cuts.len()) })?];
        Ok(Abstention {
            target_accuracy: Some(target),
            certainty,
            accuracy_at_least: Some(1.0 - upper_limit(cut.wrong, cut.rows, tail)),
            ..Abstention::below(threshold(cut, rows), rows)
        })
    }

    /// Whether a row of this confidence is left without an answer. One that is no number is.
    pub fn abstains(&self, confidence: f64) -> bool {
        confidence.is_nan() || confidence < self.below
    }
}

/// The chance that each of the tests among so many thresholds may be wrong with.
fn tail(certainty: f64, thresholds: usize) -> f64 {
    (1.0 - certainty) / (1.0 + (thresholds as f64).log2().ceil())
}

/// The fewest rows without an error that are enough, each of a confidence of its own, where there are so many thresholds at least: more rows make more
/// tests.
fn needed(target: f64, certainty: f64, thresholds: usize) -> u64 {
    let mut rows = 0;
    loop {
        let enough = (tail(certainty, thresholds.max(rows)).ln() / target.ln()).ceil() as usize;
        if enough <= rows {
            return rows as u64;
        }
        rows = enough;
    }
}

/// The confidence of the last row that is answered; 0 where all are, so that no row of other data is refused for being less sure than the least
/// sure of these.
fn threshold(cut: &Cut, rows: &Ranked) -> f64 {
    if cut.rows == rows.rows() { 0.0 } else { cut.confidence }
}
