//! Logits of rows without dropout, and what they are worth. It changes nothing and must not know training.

use crate::error::TrainError;
use crate::metrics::{ClassificationReport, Confusion};
use crate::model::{Classifier, Mode, Split};
use crate::prefix::{PrefixCache, Start};
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, Params, Pool, Tape};

/// Rows of one forward pass of evaluation.
pub const EVALUATION_BATCH: usize = 64;

/// Runs the model over all rows, in order. Returns logits, row-major `(rows, classes)`, which a cache does not change.
///
/// # Errors
/// The file of the cache cannot be read or written.
pub fn logits<B: Backend>(
    backend: &B,
    model: &dyn Classifier<B>,
    params: &Params<B>,
    pool: &mut Pool<B>,
    encoded: &Encoded,
    mut cache: Option<&mut PrefixCache>,
) -> Result<Vec<f32>, TrainError> {
    let rows: Vec<usize> = (0..encoded.len()).collect();
    let mut all = Vec::new();
    let _awake = backend.awake();
    for rows in rows.chunks(EVALUATION_BATCH) {
        let batch = Batch::gather(encoded, &[], rows);
        let start = Start::of(cache.as_deref_mut(), backend, model, params, pool, encoded, rows)?;
        let mut tape = Tape::inference(backend, params, pool);
        let logits = start.logits(&mut tape, model, &batch, Mode::Evaluation);
        all.extend(tape.download(logits));
    }
    Ok(all)
}

/// Accuracy, F1, Matthews correlation, mean cross-entropy and confusion matrix of a split; `names` are the classes.
///
/// # Errors
/// As [`logits`].
pub fn evaluate<B: Backend>(
    backend: &B,
    model: &dyn Classifier<B>,
    params: &Params<B>,
    pool: &mut Pool<B>,
    split: &Split,
    names: &[String],
    cache: Option<&mut PrefixCache>,
) -> Result<ClassificationReport, TrainError> {
    let logits = logits(backend, model, params, pool, &split.encoded, cache)?;
    let mut confusion = Confusion::new(names.len());
    let mut loss = 0.0;
    for (row, &label) in logits.chunks(names.len()).zip(&split.labels) {
        let probabilities = softmax(row);
        loss -= probabilities[label as usize].ln();
        confusion.add(label as usize, argmax(row));
    }
    Ok(confusion.report(loss / split.rows() as f64, names))
}

/// Probabilities of one row of logits, in f64.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f64> = logits.iter().map(|&z| (f64::from(z) - f64::from(largest)).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}

/// The position of the largest score, the first of equals. NaN never wins.
pub fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, &score) in scores.iter().enumerate() {
        if score > scores[best] || scores[best].is_nan() {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_survives_large_logits_and_argmax_nan() {
        let p = softmax(&[1000.0, 1000.0, -1000.0]);
        assert_eq!((p[0], p[1], p[2]), (0.5, 0.5, 0.0));
        assert_eq!((argmax(&[f32::NAN, 1.0, 2.0, 2.0]), argmax(&[3.0, 3.0])), (2, 0));
    }
}
