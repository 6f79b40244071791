//! The hyperbolic tangent, the activation of BERT's pooler. Must not know the pooler.
//!
//! Shapes: x, y, dx, dy: `[n]`. `y = tanh(x)`, `dx = dy·(1 - y²)`.

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::target::{Target, put};
use crate::vmath;

/// `y = tanh(x)`.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(y: &mut [f32], x: &[f32]) {
    assert_eq!(x.len(), y.len(), "tanh: x: expected {} elements like y, got {}", y.len(), x.len());
    let isa = isa::current();
    par::for_each_chunk_mut(y, par::CHUNK, |start, y| forward_chunk(isa, y, &x[start..][..y.len()]));
}

/// `dx = dy·(1 - y²)` from the output y.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(dx: Target<'_>, dy: &[f32], y: &[f32]) {
    let Some((dx, beta)) = dx else { return };
    for (name, len) in [("dy", dy.len()), ("y", y.len())] {
        assert_eq!(len, dx.len(), "tanh backward: {name}: expected {} elements like dx, got {len}", dx.len());
    }
    let isa = isa::current();
    par::for_each_chunk_mut(dx, par::CHUNK, |start, dx| {
        let n = dx.len();
        backward_chunk(isa, dx, beta, &dy[start..][..n], &y[start..][..n]);
    });
}

dispatch! {
    fn forward_chunk(y: &mut [f32], x: &[f32]) = forward_body;
    fn backward_chunk(dx: &mut [f32], beta: f32, dy: &[f32], y: &[f32]) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lane>(y: &mut [f32], x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = vmath::tanh::<L>(x);
    }
}

#[inline(always)]
fn backward_body<L: Lane>(dx: &mut [f32], beta: f32, dy: &[f32], y: &[f32]) {
    for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
        put(dx, beta, dy * L::mul_add(-y, y, 1.0));
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(x: &[T]) -> Vec<T> {
        x.iter().map(|x| x.tanh()).collect()
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(dy: &[T], y: &[T]) -> Vec<T> {
        dy.iter().zip(y).map(|(&dy, &y)| dy * (T::one() - y * y)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for n in [0, 1, 15, 100, 2 * par::CHUNK + 3] {
            let (x, dy) = (values(1, n), values(2, n));
            let y = same_bits("tanh", || {
                let mut y = vec![f32::NAN; n];
                forward(&mut y, &x);
                y
            });
            // 2 ulp of numbers below 1, the bound of vmath::tanh.
            assert_close("y", &y, &textbook::forward(&widen(&x)), 2.0 * 2f64.powi(-24));
            let dx = targets("dx", n, |dx| backward(dx, &dy, &y));
            // Two roundings of numbers below 2, three without a fused multiply-add.
            assert_close("dx", &dx, &textbook::backward(&widen(&dy), &widen(&y)), 4.0 * 2f64.powi(-24));
        }
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let (x, dy) = (widen(&values(3, 50)), widen(&values(4, 50)));
        let want = gradient(&x, |x| project(&textbook::forward(x), &dy));
        assert_close_f64("dx", &textbook::backward(&dy, &textbook::forward(&x)), &want, 1e-8);
    }
}
