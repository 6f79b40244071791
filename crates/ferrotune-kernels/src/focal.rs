//! Focal loss over classes: cross entropy that counts little where the model is already right (Lin et al. 2017, "Focal Loss for Dense
//! Object Detection", there for one logit, see [`crate::binary_focal`]). Must not know the model.
//!
//! Shapes: logits, dlogits: `[n, c]`; labels y: `[n]`, numbers below c; weights w: `[c]`; gamma >= 0. With `p = softmax(logits)`:
//! `loss = scale·Σ_i w_y·(1 - p_y)^gamma·(-log p_y)`; gamma 0 is cross entropy with class weights. n·c numbers are little beside the
//! model, so this runs inline in `f64`.

use crate::target::{Target, put};
use crate::weighted_cross_entropy::log_sum_exp;

/// `scale·Σ` of the losses, summed in `f64` in row order.
///
/// # Panics
/// If the lengths do not fit or a label is not below the number of weights.
pub fn forward(logits: &[f32], labels: &[u32], weights: &[f32], gamma: f32, scale: f32) -> f32 {
    check("logits", logits.len(), labels, weights.len());
    let row = |(logits, &label): (&[f32], &u32)| {
        let y = label as usize;
        f64::from(weights[y]) * focus(f64::from(logits[y]) - log_sum_exp(logits), f64::from(gamma)).0
    };
    let rows = logits.chunks_exact(weights.len().max(1)).zip(labels);
    (f64::from(scale) * rows.map(row).sum::<f64>()) as f32
}

/// `dlogits_j = k·w_y·f'(log p_y)·(1(j = y) - p_j)` with `f` the loss as a function of `log p_y`, where `k` is the incoming gradient
/// times the forward's scale.
///
/// # Panics
/// If the lengths do not fit or a label is not below the number of weights.
pub fn backward(dlogits: Target<'_>, logits: &[f32], labels: &[u32], weights: &[f32], gamma: f32, k: f32) {
    let Some((dlogits, beta)) = dlogits else { return };
    let classes = weights.len();
    check("logits", logits.len(), labels, classes);
    check("dlogits", dlogits.len(), labels, classes);
    let rows = dlogits.chunks_exact_mut(classes.max(1)).zip(logits.chunks_exact(classes.max(1))).zip(labels);
    for ((d, logits), &label) in rows {
        let (y, normal) = (label as usize, log_sum_exp(logits));
        let slope = f64::from(weights[y]) * focus(f64::from(logits[y]) - normal, f64::from(gamma)).1;
        for (class, (d, &z)) in d.iter_mut().zip(logits).enumerate() {
            let log_p = f64::from(z) - normal;
            let turn = if class == y { -log_p.exp_m1() } else { -log_p.exp() };
            put(d, beta, (f64::from(k) * slope * turn) as f32);
        }
    }
}

/// `(1 - p)^gamma·(-log p)` and its derivative by `log p`, from `log p <= 0`.
pub(crate) fn focus(log_p: f64, gamma: f64) -> (f64, f64) {
    // 1 - p, exact also where p rounds to 1.
    let miss = -log_p.exp_m1();
    let power = if gamma == 0.0 { 1.0 } else { miss.powf(gamma) };
    // The limit for miss -> 0 is 0 for every gamma; the formula would say infinity times 0 below 1.
    let pull = if miss == 0.0 { 0.0 } else { gamma * power / miss * log_p.exp() * log_p };
    (-power * log_p, pull - power)
}

fn check(name: &str, len: usize, labels: &[u32], classes: usize) {
    let want = labels.len() * classes;
    assert_eq!(len, want, "focal: {name}: expected {} rows of {classes}, got {len} elements", labels.len());
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        panic!("focal: labels: row {row} has label {} of {classes} classes", labels[row]);
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;
    use crate::softmax;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(logits: &[T], labels: &[u32], weights: &[T], gamma: T, scale: T) -> T {
        let probabilities = softmax::textbook::forward(logits, weights.len());
        let row = |(&label, p): (&u32, &[T])| {
            let p = p[label as usize];
            weights[label as usize] * (T::one() - p).powf(gamma) * -p.ln()
        };
        scale * labels.iter().zip(probabilities.chunks(weights.len())).map(row).sum::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, gradient, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook() {
        for gamma in [0.0f32, 0.5, 2.0] {
            let (n, classes) = (9, 5);
            let logits = values(1, n * classes);
            let labels: Vec<u32> = (0..n).map(|i| (i * 7 % classes) as u32).collect();
            let weights: Vec<f32> = (0..classes).map(|c| 0.25 + c as f32).collect();
            let wide = widen(&weights);
            let loss = |x: &[f64]| textbook::forward(x, &labels, &wide, f64::from(gamma), 0.25);
            // One rounding to f32 at the end, for the loss and for each derivative; differences are good to 1e-9.
            let got = forward(&logits, &labels, &weights, gamma, 0.25);
            assert_close("loss", &[got], &[loss(&widen(&logits))], 2f64.powi(-24));
            let d = targets("dlogits", n * classes, |d| backward(d, &logits, &labels, &weights, gamma, 0.25));
            assert_close("dlogits", &d, &gradient(&widen(&logits), loss), 2f64.powi(-24) + 1e-8);
        }
    }

    #[test]
    fn certain_rows_are_finite_and_nan_shows() {
        for gamma in [0.0, 0.5, 1.0, 2.0] {
            let mut d = [f32::NAN; 2];
            assert_eq!(forward(&[1e4, -1e4], &[0], &[1.0; 2], gamma, 1.0), 0.0, "{gamma}");
            backward(Some((&mut d, 0.0)), &[1e4, -1e4], &[0], &[1.0; 2], gamma, 1.0);
            assert_eq!(d, [0.0, 0.0], "{gamma}");
            assert_eq!(forward(&[1e4, -1e4], &[1], &[1.0; 2], gamma, 1.0), 2e4, "{gamma}");
            backward(Some((&mut d, 0.0)), &[1e4, -1e4], &[1], &[1.0; 2], gamma, 1.0);
            assert_eq!(d, [1.0, -1.0], "{gamma}");
            assert!(forward(&[f32::NAN, 0.0], &[0], &[1.0; 2], gamma, 1.0).is_nan());
        }
    }
}
