//! GELU with the exact normal distribution, as BERT uses it. Must not know the matmul that computes it in its epilogue.
//!
//! Shapes: x, y, dx, dy: `[n]`. `y = x·Φ(x) = x·(1 + erf(x/√2))/2` (Hendrycks and Gimpel 2016,
//! <https://arxiv.org/abs/1606.08415>; `torch.nn.GELU(approximate="none")`).

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::target::{Target, put};
use crate::vmath;

/// `y = gelu(x)`.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(y: &mut [f32], x: &[f32]) {
    assert_eq!(x.len(), y.len(), "gelu: x: expected {} elements like y, got {}", y.len(), x.len());
    let isa = isa::current();
    par::for_each_chunk_mut(y, par::CHUNK, |start, y| forward_chunk(isa, y, &x[start..][..y.len()]));
}

/// `dx = dy·(Φ(x) + x·φ(x))`, φ the density of the standard normal.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(dx: Target<'_>, dy: &[f32], x: &[f32]) {
    let Some((dx, beta)) = dx else { return };
    for (name, len) in [("dy", dy.len()), ("x", x.len())] {
        assert_eq!(len, dx.len(), "gelu backward: {name}: expected {} elements like dx, got {len}", dx.len());
    }
    let isa = isa::current();
    par::for_each_chunk_mut(dx, par::CHUNK, |start, dx| {
        let n = dx.len();
        backward_chunk(isa, dx, beta, &dy[start..][..n], &x[start..][..n]);
    });
}

dispatch! {
    fn forward_chunk(y: &mut [f32], x: &[f32]) = forward_body;
    fn backward_chunk(dx: &mut [f32], beta: f32, dy: &[f32], x: &[f32]) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lane>(y: &mut [f32], x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = vmath::gelu::<L>(x);
    }
}

#[inline(always)]
fn backward_body<L: Lane>(dx: &mut [f32], beta: f32, dy: &[f32], x: &[f32]) {
    for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
        put(dx, beta, dy * vmath::gelu_derivative::<L>(x));
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(x: &[T]) -> Vec<T> {
        let half = T::from_f64(0.5);
        x.iter().map(|&x| half * x * (T::one() + (x * half.sqrt()).erf())).collect()
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(dy: &[T], x: &[T]) -> Vec<T> {
        let half = T::from_f64(0.5);
        let slope = |x: T| {
            let density = (-half * x * x).exp() * T::from_f64(1.0 / (2.0 * std::f64::consts::PI).sqrt());
            half * (T::one() + (x * half.sqrt()).erf()) + x * density
        };
        dy.iter().zip(x).map(|(&dy, &x)| dy * slope(x)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for n in [0, 1, 15, 100, 2 * par::CHUNK + 3] {
            let x: Vec<f32> = values(1, n).iter().map(|x| 4.0 * x).collect();
            let dy = values(2, n);
            let y = same_bits("gelu", || {
                let mut y = vec![f32::NAN; n];
                forward(&mut y, &x);
                y
            });
            // |x| < 8: (8 + x²/2)·2^-24 of x·Φ(x), the bound of vmath::gelu, is largest where Φ ≈ 1: 40·2^-24.
            assert_close("y", &y, &textbook::forward(&widen(&x)), 40.0 * 2f64.powi(-24));
            let dx = targets("dx", n, |dx| backward(dx, &dy, &x));
            // 4e-7, the bound of vmath::gelu_derivative, times |dy| < 2.
            assert_close("dx", &dx, &textbook::backward(&widen(&dy), &widen(&x)), 8e-7);
        }
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let (x, dy) = (widen(&values(3, 50)), widen(&values(4, 50)));
        let want = gradient(&x, |x| project(&textbook::forward(x), &dy));
        assert_close_f64("dx", &textbook::backward(&dy, &x), &want, 1e-8);
    }
}
