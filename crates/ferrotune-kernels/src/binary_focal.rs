//! Focal loss of a binary label from one logit (Lin et al. 2017). Must not know the model.
//!
//! Shapes: logits x, targets t (each 0 or 1), dlogits: `[n]`; gamma >= 0. With `p = σ(x)` where t is 1 and `1 - σ(x)` where it is 0:
//! `loss = scale·Σ_i (1 - p)^gamma·(-log p)`; gamma 0 is [`crate::binary_cross_entropy`]. n is a batch, so this runs inline in `f64`.

use crate::focal::focus;
use crate::target::{Target, put};

/// `scale·Σ` of the losses, summed in `f64` in row order.
///
/// # Panics
/// If the slices differ in length or a target is neither 0 nor 1.
pub fn forward(logits: &[f32], targets: &[f32], gamma: f32, scale: f32) -> f32 {
    check(logits, targets);
    let loss = |(&x, &t): (&f32, &f32)| focus(log_p(towards(x, t)), f64::from(gamma)).0;
    (f64::from(scale) * logits.iter().zip(targets).map(loss).sum::<f64>()) as f32
}

/// `dlogits_i = ±k·f'(log p_i)·(1 - p_i)` with `f` the loss as a function of `log p`, where `k` is the incoming gradient times the
/// forward's scale.
///
/// # Panics
/// If the slices differ in length or a target is neither 0 nor 1.
pub fn backward(dlogits: Target<'_>, logits: &[f32], targets: &[f32], gamma: f32, k: f32) {
    let Some((dlogits, beta)) = dlogits else { return };
    check(logits, targets);
    let (want, got) = (logits.len(), dlogits.len());
    assert_eq!(got, want, "binary_focal: dlogits: expected {want} elements like logits, got {got}");
    for ((d, &x), &t) in dlogits.iter_mut().zip(logits).zip(targets) {
        let log_p = log_p(towards(x, t));
        let slope = focus(log_p, f64::from(gamma)).1 * -log_p.exp_m1();
        put(d, beta, (f64::from(k) * towards(1.0, t) * slope) as f32);
    }
}

/// The logit of the right answer.
fn towards(x: f32, t: f32) -> f64 {
    if t == 1.0 { f64::from(x) } else { -f64::from(x) }
}

/// `log σ(z)`.
fn log_p(z: f64) -> f64 {
    let negative = if z > 0.0 { 0.0 } else { z };
    negative - (-z.abs()).exp().ln_1p()
}

fn check(logits: &[f32], targets: &[f32]) {
    let (want, got) = (logits.len(), targets.len());
    assert_eq!(got, want, "binary_focal: targets: expected {want} elements like logits, got {got}");
    if let Some(t) = targets.iter().find(|&&t| t != 0.0 && t != 1.0) {
        panic!("binary_focal: targets: {t} is neither 0 nor 1");
    }
}

/// The specification, of one element.
pub mod textbook {
    use crate::real::Real;

    /// Loss of logit `x` and target `t`, 0 or 1.
    pub fn loss<T: Real>(x: T, t: T, gamma: T) -> T {
        let sigma = T::one() / (T::one() + (-x).exp());
        let p = t * sigma + (T::one() - t) * (T::one() - sigma);
        (T::one() - p).powf(gamma) * -p.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, gradient, targets, values, widen};

    #[test]
    fn loss_and_gradient_follow_the_definition() {
        let x = values(1, 40);
        let t: Vec<f32> = (0..40).map(|i| (i % 3 / 2) as f32).collect();
        for gamma in [0.0f32, 0.5, 2.0] {
            let one = |(&x, &t): (&f64, &f32)| textbook::loss(x, f64::from(t), f64::from(gamma));
            let loss = |x: &[f64]| 0.25 * x.iter().zip(&t).map(one).sum::<f64>();
            // One rounding to f32 at the end, for the loss and for each derivative; differences are good to 1e-9.
            assert_close("loss", &[forward(&x, &t, gamma, 0.25)], &[loss(&widen(&x))], 2f64.powi(-24));
            let dx = targets("dlogits", 40, |dx| backward(dx, &x, &t, gamma, 0.25));
            assert_close("dlogits", &dx, &gradient(&widen(&x), loss), 2f64.powi(-24) + 1e-8);
        }
    }

    #[test]
    fn extreme_logits_stay_finite_and_nan_shows() {
        for gamma in [0.0, 0.5, 2.0] {
            let mut d = [f32::NAN; 3];
            assert_eq!(forward(&[1e4, -1e4], &[1.0, 0.0], gamma, 1.0), 0.0);
            assert_eq!(forward(&[1e4], &[0.0], gamma, 1.0), 1e4);
            backward(Some((&mut d, 0.0)), &[1e4, 1e4, -1e4], &[1.0, 0.0, 1.0], gamma, 1.0);
            assert_eq!(d, [0.0, 1.0, -1.0], "{gamma}");
            assert!(forward(&[f32::NAN], &[0.0], gamma, 1.0).is_nan());
        }
    }

    #[test]
    #[should_panic(expected = "binary_focal: targets: 0.5 is neither 0 nor 1")]
    fn a_soft_target_panics() {
        forward(&[0.0], &[0.5], 2.0, 1.0);
    }
}
