//! Logistic regression on sparse rows with an L2 penalty, to its optimum. It must not know where the rows come from.
//!
//! The objective is that of scikit-learn's `LogisticRegression`: `Σ loss + |W|² / (2 C)`, intercepts without penalty; of two classes one logit,
//! of more a softmax. L-BFGS is argmin's (Nocedal & Wright 2006, section 7.2).

use argmin::core::{CostFunction, Error, Executor, Gradient, IterState, OptimizationResult};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use ferrotune_data::SparseRows;
use thiserror::Error as ThisError;

/// Pairs of steps and gradients that L-BFGS remembers.
const MEMORY: usize = 5;
/// Ends with a gradient of the mean loss that is this short; scikit-learn ends at a largest part of 1e-4.
const GRADIENT: f64 = 1e-5;
/// Iterations at most. Public sets need 20 to 60.
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
        let problem = Problem { rows, labels, c, outputs };
        let search = MoreThuenteLineSearch::new();
        let solver = LBFGS::new(search, MEMORY).with_tolerance_grad(gradient).map_err(said)?;
        let run = Executor::new(problem, solver)
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

/// `logits = x W + intercepts` of one row.
fn add_logits(rows: &SparseRows, row: usize, weights: &[f64], logits: &mut [f64]) {
    let outputs = logits.len();
    logits.copy_from_slice(&weights[rows.width * outputs..]);
    for (column, value) in rows.row(row) {
        let weights = &weights[column * outputs..][..outputs];
        logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
    }
}

/// The mean loss of the rows with the penalty, as a function of the weights.
struct Problem<'a> {
    rows: &'a SparseRows,
    labels: &'a [u32],
    c: f64,
    outputs: usize,
}

impl Problem<'_> {
    fn rows(&self) -> f64 {
        self.labels.len() as f64
    }

    /// What the penalty is over: all weights but the intercepts.
    fn penalised(&self) -> usize {
        self.rows.width * self.outputs
    }
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The loss of one row; turns its logits into the gradient by them.
fn loss(logits: &mut [f64], label: u32) -> f64 {
    if let [logit] = logits {
        let target = f64::from(label);
        let signed = if label == 1 { *logit } else { -*logit };
        *logit = sigmoid(*logit) - target;
        // ln(1 + e^-x), for large x of either sign.
        return (-signed.abs()).exp().ln_1p() + (-signed).max(0.0);
    }
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let of_label = logits[label as usize] - most;
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - most).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|p| *p /= sum);
    logits[label as usize] -= 1.0;
    sum.ln() - of_label
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, weights: &Vec<f64>) -> Result<f64, Error> {
        let mut logits = vec![0.0; self.outputs];
        let mut sum = 0.0;
        for (row, &label) in self.labels.iter().enumerate() {
            add_logits(self.rows, row, weights, &mut logits);
            sum += loss(&mut logits, label);
        }
        let squares: f64 = weights[..self.penalised()].iter().map(|weight| weight * weight).sum();
        Ok((sum + squares / (2.0 * self.c)) / self.rows())
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, weights: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let mut gradient: Vec<f64> = weights.iter().map(|weight| weight / (self.c * self.rows())).collect();
        gradient[self.penalised()..].fill(0.0);
        let mut logits = vec![0.0; self.outputs];
        for (row, &label) in self.labels.iter().enumerate() {
            add_logits(self.rows, row, weights, &mut logits);
            loss(&mut logits, label);
            let intercept = std::iter::once((self.rows.width, 1.0));
            for (column, value) in self.rows.row(row).chain(intercept) {
                let gradient = &mut gradient[column * self.outputs..][..self.outputs];
                gradient.iter_mut().zip(&logits).for_each(|(sum, by_logit)| *sum += value * by_logit / self.rows());
            }
        }
        Ok(gradient)
    }
}
