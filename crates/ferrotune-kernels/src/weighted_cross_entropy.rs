//! Cross entropy of class labels with class weights and label smoothing. Must not know the model.
//!
//! Shapes: logits, dlogits: `[n, c]`; labels y: `[n]`, numbers below c; weights w: `[c]`; smoothing e in `[0, 1]`. With
//! `p = softmax(logits)`: `loss = scale·Σ_i [(1 - e)·w_y·(-log p_y) + e/c·Σ_j w_j·(-log p_j)]` (`torch.nn.CrossEntropyLoss(weight,
//! label_smoothing=e)` with scale `1/Σ_i w_y`). With weights of one and e = 0 it is [`crate::cross_entropy`], which is the fast one.
//! n·c numbers are little beside the model, so this runs inline in `f64`.

use crate::target::{Target, put};

/// `scale·Σ` of the losses, summed in `f64` in row order.
///
/// # Panics
/// If the lengths do not fit or a label is not below the number of weights.
pub fn forward(logits: &[f32], labels: &[u32], weights: &[f32], smoothing: f32, scale: f32) -> f32 {
    check("logits", logits.len(), labels, weights.len());
    let (keep, spread) = shares(smoothing, weights.len());
    let row = |(logits, &label): (&[f32], &u32)| {
        let normal = log_sum_exp(logits);
        let surprise = |class: usize| f64::from(weights[class]) * (normal - f64::from(logits[class]));
        keep * surprise(label as usize) + spread * (0..logits.len()).map(surprise).sum::<f64>()
    };
    let rows = logits.chunks_exact(weights.len().max(1)).zip(labels);
    (f64::from(scale) * rows.map(row).sum::<f64>()) as f32
}

/// `dlogits_j = k·[a·p_j - (1 - e)·w_y·1(j = y) - e/c·w_j]` with `a = (1 - e)·w_y + e/c·Σ w`, where `k` is the incoming gradient times
/// the forward's scale.
///
/// # Panics
/// If the lengths do not fit or a label is not below the number of weights.
pub fn backward(dlogits: Target<'_>, logits: &[f32], labels: &[u32], weights: &[f32], smoothing: f32, k: f32) {
    let Some((dlogits, beta)) = dlogits else { return };
    let classes = weights.len();
    check("logits", logits.len(), labels, classes);
    check("dlogits", dlogits.len(), labels, classes);
    let (keep, spread) = shares(smoothing, classes);
    let all: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let rows = dlogits.chunks_exact_mut(classes.max(1)).zip(logits.chunks_exact(classes.max(1))).zip(labels);
    for ((d, logits), &label) in rows {
        let normal = log_sum_exp(logits);
        let own = keep * f64::from(weights[label as usize]);
        for (class, ((d, &z), &w)) in d.iter_mut().zip(logits).zip(weights).enumerate() {
            let hit = if class as u32 == label { own } else { 0.0 };
            let slope = (own + spread * all) * (f64::from(z) - normal).exp() - hit - spread * f64::from(w);
            put(d, beta, (f64::from(k) * slope) as f32);
        }
    }
}

/// What the label keeps, and what each class gets.
fn shares(smoothing: f32, classes: usize) -> (f64, f64) {
    (1.0 - f64::from(smoothing), f64::from(smoothing) / classes.max(1) as f64)
}

/// `log Σ exp z` in `f64`, in the order of the classes. NaN shows, as the largest logit or in the sum.
pub(crate) fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    max + logits.iter().map(|&z| (f64::from(z) - max).exp()).sum::<f64>().ln()
}

fn check(name: &str, len: usize, labels: &[u32], classes: usize) {
    let want = labels.len() * classes;
    assert_eq!(
        len,
        want,
        "weighted_cross_entropy: {name}: expected {} rows of {classes}, got {len} elements",
        labels.len()
    );
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        panic!("weighted_cross_entropy: labels: row {row} has label {} of {classes} classes", labels[row]);
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;
    use crate::softmax;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(logits: &[T], labels: &[u32], weights: &[T], smoothing: T, scale: T) -> T {
        let classes = weights.len();
        let probabilities = softmax::textbook::forward(logits, classes);
        let row = |(&label, p): (&u32, &[T])| -> T {
            let y = label as usize;
            let even: T = p.iter().zip(weights).map(|(&p, &w)| -w * p.ln()).sum();
            (T::one() - smoothing) * -weights[y] * p[y].ln() + smoothing * even / T::from_f64(classes as f64)
        };
        scale * labels.iter().zip(probabilities.chunks(classes)).map(row).sum::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross_entropy;
    use crate::par::check::{assert_close, gradient, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook() {
        for (n, classes, smoothing) in [(1, 1, 0.5), (8, 2, 0.0), (9, 17, 0.1), (5, 3, 1.0)] {
            let logits = values(1, n * classes);
            let labels: Vec<u32> = (0..n).map(|i| (i * 7 % classes) as u32).collect();
            let weights: Vec<f32> = (0..classes).map(|c| 0.25 + c as f32).collect();
            let (wide, e) = (widen(&weights), f64::from(smoothing as f32));
            let loss = |x: &[f64]| textbook::forward(x, &labels, &wide, e, 0.25);
            // One rounding to f32 at the end, for the loss and for each derivative; differences are good to 1e-9.
            let got = forward(&logits, &labels, &weights, smoothing as f32, 0.25);
            assert_close("loss", &[got], &[loss(&widen(&logits))], 2f64.powi(-24));
            let d = targets("dlogits", n * classes, |d| {
                backward(d, &logits, &labels, &weights, smoothing as f32, 0.25);
            });
            assert_close("dlogits", &d, &gradient(&widen(&logits), loss), 2f64.powi(-24) + 1e-8);
        }
    }

    #[test]
    fn without_weights_and_smoothing_it_is_cross_entropy() {
        let (logits, labels) = (values(3, 40), [0, 3, 1, 4, 2, 2, 0, 1]);
        let mut probs = vec![0.0; 40];
        let want = cross_entropy::forward(&mut probs, &logits, &labels, 5, 0.125);
        // The fast kernel's own tolerance.
        assert_close(
            "loss",
            &[forward(&logits, &labels, &[1.0; 5], 0.0, 0.125)],
            &[f64::from(want)],
            12.0 * 2f64.powi(-24),
        );
    }

    #[test]
    fn hopeless_rows_are_finite_and_nan_shows() {
        assert_eq!(forward(&[1e4, -1e4], &[1], &[1.0, 1.0], 0.0, 1.0), 2e4);
        for nan in [[f32::NAN, 0.0], [0.0, f32::NAN]] {
            assert!(forward(&nan, &[0], &[1.0, 1.0], 0.0, 1.0).is_nan());
        }
    }

    #[test]
    #[should_panic(expected = "weighted_cross_entropy: labels: row 1 has label 2 of 2 classes")]
    fn a_label_outside_the_classes_panics() {
        forward(&[0.0; 4], &[1, 2], &[1.0; 2], 0.0, 1.0);
    }
}
