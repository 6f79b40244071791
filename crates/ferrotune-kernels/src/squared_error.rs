//! Squared error of a prediction. Must not know the model.
//!
//! Shapes: predictions x, targets t, dx: `[n]`. `loss = scale·Σ_i (x_i - t_i)²` (`torch.nn.MSELoss` with scale 1/n); `dx = 2k·(x - t)`.
//! n is a batch, so this runs inline in `f64`.

use crate::target::{Target, put};

/// `scale·Σ (x - t)²`, summed in `f64` in row order.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(predictions: &[f32], targets: &[f32], scale: f32) -> f32 {
    same_length("targets", predictions, targets);
    let loss = |(&x, &t): (&f32, &f32)| textbook::loss(f64::from(x), f64::from(t));
    (f64::from(scale) * predictions.iter().zip(targets).map(loss).sum::<f64>()) as f32
}

/// `dx_i = 2k·(x_i - t_i)`, where `k` is the incoming gradient times the forward's scale.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(dx: Target<'_>, predictions: &[f32], targets: &[f32], k: f32) {
    let Some((dx, beta)) = dx else { return };
    same_length("targets", predictions, targets);
    same_length("dx", predictions, dx);
    for ((d, &x), &t) in dx.iter_mut().zip(predictions).zip(targets) {
        put(d, beta, (f64::from(k) * textbook::slope(f64::from(x), f64::from(t))) as f32);
    }
}

fn same_length(name: &str, predictions: &[f32], other: &[f32]) {
    let (want, got) = (predictions.len(), other.len());
    assert_eq!(got, want, "squared_error: {name}: expected {want} elements like predictions, got {got}");
}

/// The specification, of one element; the kernel is its `f64` version.
pub mod textbook {
    use crate::real::Real;

    /// `(x - t)²`.
    pub fn loss<T: Real>(x: T, t: T) -> T {
        (x - t) * (x - t)
    }

    /// Derivative of [`loss`] by `x`.
    pub fn slope<T: Real>(x: T, t: T) -> T {
        T::from_f64(2.0) * (x - t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, gradient, targets, values, widen};

    #[test]
    fn loss_and_gradient_follow_the_definition() {
        let (x, t) = (values(1, 40), values(2, 40));
        let loss = |x: &[f64]| 0.25 * x.iter().zip(&t).map(|(&x, &t)| (x - f64::from(t)).powi(2)).sum::<f64>();
        // One rounding to f32 at the end, for the loss and for each derivative.
        assert_close("loss", &[forward(&x, &t, 0.25)], &[loss(&widen(&x))], 2f64.powi(-24));
        let dx = targets("dx", 40, |dx| backward(dx, &x, &t, 0.25));
        assert_close("dx", &dx, &gradient(&widen(&x), loss), 2f64.powi(-24));
        assert_eq!(forward(&[], &[], 1.0), 0.0);
        assert!(forward(&[f32::NAN], &[0.0], 1.0).is_nan());
    }

    #[test]
    #[should_panic(expected = "squared_error: targets: expected 2 elements like predictions, got 1")]
    fn another_number_of_targets_panics() {
        forward(&[0.0; 2], &[0.0], 1.0);
    }
}
