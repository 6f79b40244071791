//! What a run came to, and how fast it was. It must not know how that came about.

use crate::advice::{Epoch, Measured};
use crate::metrics::Report;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Optimizer steps done, those before a resume included.
    pub steps: u64,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: u64,
    /// The report of that epoch on validation.
    pub validation: Option<Report>,
    /// Rows a second in training steps alone, after the first three; none if there were no more.
    pub samples_per_second: Option<f64>,
    /// Tokens a second, likewise.
    pub tokens_per_second: Option<f64>,
    /// Seconds in training steps.
    pub seconds: f64,
    /// Why it took no more steps.
    pub end: End,
    /// The epochs whose mean the weights are; empty if they are those of one epoch.
    pub averaged: Vec<u64>,
    /// The epochs of the run.
    pub epochs: Vec<Epoch>,
}

/// Why a run took no more steps. But for the first, its weights are those of its last step, and none were chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It did all of them, or [`Settings::patience`](super::Settings::patience) was at its end.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// It was told to pause here.
    Paused {
        /// What the validation rows gave; of a moving average, if the run has one.
        now: Option<Measured>,
    },
    /// It gave one answer for all rows, and such a run was to be left.
    Degenerate {
        /// By what that was seen.
        why: String,
    },
}

/// Steps that do not count for the speed: memory is being allocated and caches are cold.
const WARM_UP_STEPS: u64 = 3;

/// Rows, tokens and seconds of the steps that count for the speed.
#[derive(Default)]
pub(super) struct Speed {
    rows: usize,
    tokens: usize,
    seconds: f64,
    /// Seconds of all steps.
    pub all_seconds: f64,
}

impl Speed {
    /// Adds a step, the `nth` since the start or the resume.
    pub fn add(&mut self, nth: u64, rows: usize, tokens: usize, seconds: f64) {
        self.all_seconds += seconds;
        if nth > WARM_UP_STEPS {
            self.rows += rows;
            self.tokens += tokens;
            self.seconds += seconds;
        }
    }

    /// Rows and tokens; none for runs too short to be measured.
    pub fn per_second(&self) -> (Option<f64>, Option<f64>) {
        let rate = |count: usize| (self.seconds > 0.0).then(|| count as f64 / self.seconds);
        (rate(self.rows), rate(self.tokens))
    }
}
