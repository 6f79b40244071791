//! Logistic regression on sparse rows with an L2 penalty, to its optimum. It must not know where the rows come from.
//!
//! The objective is that of scikit-learn's `LogisticRegression`: `Σ loss + |W|² / (2 C)`, intercepts without penalty; of two classes one logit,
//! of more a softmax. L-BFGS is argmin's (Nocedal & Wright 2006, section 7.2).

use super::objective::{Objective, add_logits, sigmoid};
use argmin::core::{Error, Executor, IterState, OptimizationResult};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use ferrotune_data::SparseRows;
use thiserror::Error as ThisError;

/// Pairs of steps and gradients that L-BFGS remembers.
const MEMORY: usize = 5;
/// Ends with a gradient of the mean loss that is this short; scikit-learn ends at a largest part of 1e-4.
const GRADIENT: f64 = 1e-5;
/// Iterations at most, where what was reached is taken. Public sets need 20 to 60.
const ITERATIONS: u64 = 500;

/// No optimum was found.
#[derive(Debug, ThisError)]
#[error("logistic regression came to no end: {0}")]
pub struct LogisticError(String);

/// A fitted model: `(width + 1, outputs)`, row-major, the intercepts last.
#[derive(Clone, Debug)]
pub struct Logistic {
    weights: Vec<f64>,
    outputs: usize,
    classes: usize,
}

impl Logistic {
    /// Fits it on rows with these classes.
    ///
    /// # Errors
    /// The optimiser came to no end.
    pub fn fit(rows: &SparseRows, labels: &[u32], classes: usize, c: f64) -> Result<Logistic, LogisticError> {
        Logistic::fit_until(GRADIENT, rows, labels, classes, c)
    }

    /// The same with another length of the gradient to end with.
    pub(super) fn fit_until(
        gradient: f64,
        rows: &SparseRows,
        labels: &[u32],
        classes: usize,
        c: f64,
    ) -> Result<Logistic, LogisticError> {
        let outputs = if classes == 2 { 1 } else { classes };
        let model = Logistic { weights: vec![0.0; (rows.width + 1) * outputs], outputs, classes };
        let start = model.weights.clone();
        let objective = Objective::new(rows, labels, c, outputs);
        let search = MoreThuenteLineSearch::new();
        let solver = LBFGS::new(search, MEMORY).with_tolerance_grad(gradient).map_err(said)?;
        let run = Executor::new(objective, solver)
            .configure(|state: IterState<Vec<f64>, Vec<f64>, (), (), (), f64>| state.param(start).max_iters(ITERATIONS))
            .ctrlc(false)
            .timer(false)
            .run();
        let OptimizationResult { mut state, .. } = run.map_err(said)?;
        let weights = state.take_best_param().ok_or_else(|| LogisticError("it has no parameters".into()))?;
        if weights.iter().all(|weight| weight.is_finite()) {
            Ok(Logistic { weights, ..model })
        } else {
            Err(LogisticError("its weights are not finite".into()))
        }
    }

    /// The probabilities of the classes of each row, `(rows, classes)`.
    pub fn probabilities(&self, rows: &SparseRows) -> Vec<f64> {
        let mut all = Vec::with_capacity(rows.rows() * self.classes);
        let mut logits = vec![0.0; self.outputs];
        for row in 0..rows.rows() {
            add_logits(rows, row, &self.weights, &mut logits);
            if let [logit] = logits[..] {
                all.extend([sigmoid(-logit), sigmoid(logit)]);
            } else {
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
                all.extend(logits.iter().map(|logit| (logit - most).exp() / sum));
            }
        }
        all
    }
}

fn said(error: Error) -> LogisticError {
    LogisticError(error.to_string())
}
