//! Cross entropy of a binary label from one logit. Must not know the model.
//!
//! Shapes: logits x, targets t in `[0, 1]`, dlogits: `[n]`. `loss = scale·Σ_i -(t·log σ(x) + (1 - t)·log(1 - σ(x)))`, computed as
//! `max(x, 0) - x·t + log(1 + exp(-|x|))` (`torch.nn.BCEWithLogitsLoss`); `dx = k·(σ(x) - t)`. n is a batch, so this runs inline in `f64`.

use crate::target::{Target, put};

/// `scale·Σ loss_i`, summed in `f64` in row order.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(logits: &[f32], targets: &[f32], scale: f32) -> f32 {
    same_length("targets", logits, targets);
    let loss = |(&x, &t): (&f32, &f32)| textbook::loss(f64::from(x), f64::from(t));
    (f64::from(scale) * logits.iter().zip(targets).map(loss).sum::<f64>()) as f32
}

/// `dlogits_i = k·(σ(x_i) - t_i)`, where `k` is the incoming gradient times the forward's scale.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(dlogits: Target<'_>, logits: &[f32], targets: &[f32], k: f32) {
    let Some((dlogits, beta)) = dlogits else { return };
    same_length("targets", logits, targets);
    same_length("dlogits", logits, dlogits);
    for ((d, &x), &t) in dlogits.iter_mut().zip(logits).zip(targets) {
        put(d, beta, (f64::from(k) * textbook::slope(f64::from(x), f64::from(t))) as f32);
    }
}

fn same_length(name: &str, logits: &[f32], other: &[f32]) {
    let (want, got) = (logits.len(), other.len());
    assert_eq!(got, want, "binary_cross_entropy: {name}: expected {want} elements like logits, got {got}");
}

/// The specification, of one element; the kernel is its `f64` version.
pub mod textbook {
    use crate::real::Real;

    /// Loss of logit `x` and target `t`.
    pub fn loss<T: Real>(x: T, t: T) -> T {
        // Not `x.max(0)`, which turns NaN into 0.
        let positive = if x < T::zero() { T::zero() } else { x };
        positive - x * t + (-x.abs()).exp().ln_1p()
    }

    /// Derivative of [`loss`] by `x`.
    pub fn slope<T: Real>(x: T, t: T) -> T {
        T::one() / (T::one() + (-x).exp()) - t
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, gradient, targets, values, widen};

    #[test]
    fn loss_and_gradient_follow_the_definition() {
        let x = values(1, 40);
        let t: Vec<f32> = values(2, 40).iter().map(|t| t * 0.25 + 0.5).collect();
        let naive = |x: f64, t: f64| {
            let p = 1.0 / (1.0 + (-x).exp());
            -(t * p.ln() + (1.0 - t) * (1.0 - p).ln())
        };
        let loss = |x: &[f64]| 0.25 * x.iter().zip(&t).map(|(&x, &t)| naive(x, f64::from(t))).sum::<f64>();
        // One rounding to f32 at the end, for the loss and for each derivative.
        assert_close("loss", &[forward(&x, &t, 0.25)], &[loss(&widen(&x))], 2f64.powi(-24));
        let dx = targets("dlogits", 40, |dx| backward(dx, &x, &t, 0.25));
        assert_close("dlogits", &dx, &gradient(&widen(&x), loss), 2f64.powi(-24));
        assert_eq!(forward(&[], &[], 1.0), 0.0);
    }

    #[test]
    fn extreme_logits_stay_finite_and_nan_shows() {
        assert_eq!(forward(&[1e4, -1e4], &[1.0, 0.0], 1.0), 0.0);
        assert_eq!(forward(&[1e4], &[0.0], 1.0), 1e4);
        assert!(forward(&[f32::NAN], &[0.0], 1.0).is_nan());
        let mut d = [0.0; 2];
        backward(Some((&mut d, 0.0)), &[1e4, -1e4], &[0.0, 0.0], 1.0);
        assert_eq!(d, [1.0, 0.0]);
    }
}
