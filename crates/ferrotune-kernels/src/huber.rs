//! Huber's error of a prediction: squared near the target, linear far from it (Huber 1964). Must not know the model.
//!
//! Shapes: predictions x, targets t, dx: `[n]`; delta > 0. With `r = x - t`: `½r²` where `|r| <= delta`, else `delta·(|r| - ½delta)`,
//! summed times scale (`torch.nn.HuberLoss`); `dx = k·clamp(r, -delta, delta)`. n is a batch, so this runs inline in `f64`.

use crate::target::{Target, put};

/// `scale·Σ` of the errors, summed in `f64` in row order.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(predictions: &[f32], targets: &[f32], delta: f32, scale: f32) -> f32 {
    same_length("targets", predictions, targets);
    let loss = |(&x, &t): (&f32, &f32)| textbook::loss(f64::from(x) - f64::from(t), f64::from(delta));
    (f64::from(scale) * predictions.iter().zip(targets).map(loss).sum::<f64>()) as f32
}

/// `dx_i = k·clamp(x_i - t_i, -delta, delta)`, where `k` is the incoming gradient times the forward's scale.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(dx: Target<'_>, predictions: &[f32], targets: &[f32], delta: f32, k: f32) {
    let Some((dx, beta)) = dx else { return };
    same_length("targets", predictions, targets);
    same_length("dx", predictions, dx);
    for ((d, &x), &t) in dx.iter_mut().zip(predictions).zip(targets) {
        let slope = textbook::slope(f64::from(x) - f64::from(t), f64::from(delta));
        put(d, beta, (f64::from(k) * slope) as f32);
    }
}

fn same_length(name: &str, predictions: &[f32], other: &[f32]) {
    let (want, got) = (predictions.len(), other.len());
    assert_eq!(got, want, "huber: {name}: expected {want} elements like predictions, got {got}");
}

/// The specification, of one residual `r = x - t`; the kernel is its `f64` version.
pub mod textbook {
    use crate::real::Real;

    /// The error.
    pub fn loss<T: Real>(r: T, delta: T) -> T {
        let half = T::from_f64(0.5);
        if r.abs() <= delta { half * r * r } else { delta * (r.abs() - half * delta) }
    }

    /// Derivative of [`loss`] by `r`.
    pub fn slope<T: Real>(r: T, delta: T) -> T {
        if r.abs() <= delta { r } else { delta * r.signum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, gradient, targets, values, widen};

    #[test]
    fn loss_and_gradient_follow_the_definition() {
        let (x, t) = (values(1, 40), values(2, 40));
        for delta in [0.3f32, 1.0, 10.0] {
            // The integral of the clamped residual, written without a case distinction.
            let one = |r: f64, d: f64| 0.5 * r.abs().min(d).powi(2) + d * (r.abs() - d).max(0.0);
            let loss = |x: &[f64]| {
                0.25 * x.iter().zip(&t).map(|(&x, &t)| one(x - f64::from(t), f64::from(delta))).sum::<f64>()
            };
            // One rounding to f32 at the end, for the loss and for each derivative.
            assert_close("loss", &[forward(&x, &t, delta, 0.25)], &[loss(&widen(&x))], 2f64.powi(-24));
            let dx = targets("dx", 40, |dx| backward(dx, &x, &t, delta, 0.25));
            assert_close("dx", &dx, &gradient(&widen(&x), loss), 2f64.powi(-24));
        }
    }

    #[test]
    fn far_targets_pull_with_delta_and_nan_shows() {
        let mut dx = [0.0; 2];
        backward(Some((&mut dx, 0.0)), &[1e30, -1e30], &[0.0, 0.0], 2.0, 1.0);
        assert_eq!(dx, [2.0, -2.0]);
        assert!(forward(&[f32::NAN], &[0.0], 1.0, 1.0).is_nan());
    }
}
