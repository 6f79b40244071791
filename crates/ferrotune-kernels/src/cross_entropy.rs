//! Softmax and cross entropy of class labels in one kernel. Must not know the model.
//!
//! Shapes: logits, probs, dlogits: `[n, c]`; labels: `[n]`, numbers below c. `probs = softmax(logits)`,
//! `loss = scale·Σ_i -log probs[i, labels[i]]` (`torch.nn.CrossEntropyLoss` with scale 1/n), `dlogits = k·(probs - onehot(labels))`.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use crate::isa::{self, Lane, dispatch};
use crate::par::{self, DisjointMut};
use crate::target::{Target, put};
use crate::vmath;

/// Writes the probabilities and returns `scale·Σ -log p`, the logarithm taken of the sum, not of p, so that it cannot be of 0.
/// Losses are summed in `f64`, in row order within chunks of fixed size.
///
/// # Panics
/// If the lengths do not fit or a label is not below `classes`.
pub fn forward(probs: &mut [f32], logits: &[f32], labels: &[u32], classes: usize, scale: f32) -> f32 {
    check("cross_entropy", [("probs", probs.len()), ("logits", logits.len())], labels, classes);
    let (isa, rows) = (isa::current(), par::rows_per_chunk(par::CHUNK, classes));
    let probs = DisjointMut::new(probs);
    let sum = par::sum_chunks(labels.len(), rows, |_, range| {
        let elements = range.start * classes..range.end * classes;
        // SAFETY: chunks of rows do not overlap, and each is visited once.
        let probs = unsafe { probs.range(elements.clone()) };
        forward_chunk(isa, probs, &logits[elements], &labels[range], classes)
    });
    (f64::from(scale) * sum) as f32
}

/// `dlogits = k·(probs - onehot(labels))`, where `k` is the incoming gradient times the forward's scale.
///
/// # Panics
/// If the lengths do not fit or a label is not below `classes`.
pub fn backward(dlogits: Target<'_>, probs: &[f32], labels: &[u32], classes: usize, k: f32) {
    let Some((dlogits, beta)) = dlogits else { return };
    let op = "cross_entropy backward";
    check(op, [("dlogits", dlogits.len()), ("probs", probs.len())], labels, classes);
    let (isa, chunk) = (isa::current(), par::rows_per_chunk(par::CHUNK, classes) * classes.max(1));
    par::for_each_chunk_mut(dlogits, chunk, |start, dlogits| {
        let rows = start / classes..(start + dlogits.len()) / classes;
        backward_chunk(isa, dlogits, beta, &probs[start..][..rows.len() * classes], &labels[rows], classes, k);
    });
}

fn check(op: &str, slices: [(&str, usize); 2], labels: &[u32], classes: usize) {
    let want = labels.len() * classes;
    for (name, len) in slices {
        assert_eq!(len, want, "{op}: {name}: expected {} rows of {classes}, got {len} elements", labels.len());
    }
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        panic!("{op}: labels: row {row} has label {} of {classes} classes", labels[row]);
    }
}

dispatch! {
    fn forward_chunk(probs: &mut [f32], logits: &[f32], labels: &[u32], classes: usize) -> f64 = forward_body;
    fn backward_chunk(
        dlogits: &mut [f32], beta: f32, probs: &[f32], labels: &[u32], classes: usize, k: f32,
    ) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lane>(probs: &mut [f32], logits: &[f32], labels: &[u32], classes: usize) -> f64 {
    let mut loss = 0.0;
    for ((probs, logits), &label) in probs.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)).zip(labels) {
        let max = vmath::max(logits);
        for (p, &x) in probs.iter_mut().zip(logits) {
            *p = vmath::exp::<L>(x - max);
        }
        let sum = vmath::sum(probs);
        let inverse = 1.0 / sum;
        probs.iter_mut().for_each(|p| *p *= inverse);
        loss += f64::from(sum).ln() - (f64::from(logits[label as usize]) - f64::from(max));
    }
    loss
}

#[inline(always)]
fn backward_body<L: Lane>(dlogits: &mut [f32], beta: f32, probs: &[f32], labels: &[u32], classes: usize, k: f32) {
    for ((d, probs), &label) in dlogits.chunks_exact_mut(classes).zip(probs.chunks_exact(classes)).zip(labels) {
        for (class, (d, &p)) in d.iter_mut().zip(probs).enumerate() {
            let hit = if class as u32 == label { 1.0 } else { 0.0 };
            put(d, beta, k * (p - hit));
        }
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;
    use crate::softmax;

    /// `(probs, loss)`, see [`forward`](super::forward).
    pub fn forward<T: Real>(logits: &[T], labels: &[u32], classes: usize, scale: T) -> (Vec<T>, T) {
        let probs = softmax::textbook::forward(logits, classes);
        let loss: T = labels.iter().zip(probs.chunks(classes)).map(|(&label, p)| -p[label as usize].ln()).sum();
        (probs, scale * loss)
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(probs: &[T], labels: &[u32], classes: usize, k: T) -> Vec<T> {
        let mut dlogits: Vec<T> = probs.iter().map(|&p| k * p).collect();
        for (row, &label) in labels.iter().enumerate() {
            dlogits[row * classes + label as usize] -= k;
        }
        dlogits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, same_bits, targets, values, widen};

    fn labels(n: usize, classes: usize) -> Vec<u32> {
        (0..n).map(|i| (i * 7 % classes.max(1)) as u32).collect()
    }

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for (n, classes) in [(0, 3), (1, 1), (32, 2), (9, 17), (400, 211), (3, 30_522)] {
            let (logits, labels, scale) = (values(1, n * classes), labels(n, classes), 0.125);
            let all = same_bits("cross_entropy", || {
                let mut probs = vec![f32::NAN; n * classes];
                let loss = forward(&mut probs, &logits, &labels, classes, scale);
                probs.push(loss);
                probs
            });
            let (mut want, loss) = textbook::forward(&widen(&logits), &labels, classes, f64::from(scale));
            want.push(loss);
            // exp 1.1 ulp, the sum of lanes, a reciprocal and a product.
            assert_close("cross_entropy", &all, &want, 12.0 * 2f64.powi(-24));
            let probs = &all[..n * classes];
            let d = targets("dlogits", n * classes, |d| backward(d, probs, &labels, classes, 0.125));
            assert_close("dlogits", &d, &textbook::backward(&widen(probs), &labels, classes, 0.125), 2f64.powi(-24));
        }
    }

    #[test]
    fn a_hopeless_row_has_a_finite_loss_and_nan_shows() {
        assert_eq!(forward(&mut [0.0; 2], &[1e4, -1e4], &[1], 2, 1.0), 2e4);
        assert!(forward(&mut [0.0; 2], &[f32::NAN, 0.0], &[1], 2, 1.0).is_nan());
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_loss() {
        let (logits, labels) = (widen(&values(3, 35)), labels(5, 7));
        let want = gradient(&logits, |x| textbook::forward(x, &labels, 7, 0.2).1);
        let probs = textbook::forward(&logits, &labels, 7, 0.2).0;
        assert_close_f64("dlogits", &textbook::backward(&probs, &labels, 7, 0.2), &want, 1e-8);
    }

    #[test]
    #[should_panic(expected = "cross_entropy: labels: row 1 has label 2 of 2 classes")]
    fn a_label_outside_the_classes_panics() {
        forward(&mut [0.0; 4], &[0.0; 4], &[1, 2], 2, 1.0);
    }
}
