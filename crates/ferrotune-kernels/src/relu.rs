//! The rectifier, the activation in DistilBERT's head. Must not know the head.
//!
//! Shapes: x, y, dx, dy: `[n]`. `y = max(x, 0)`, `dx = dy` where `y > 0`, else 0 (as in PyTorch: 0 at 0).

use crate::par;
use crate::target::{Target, put};

/// `y = max(x, 0)`; NaN stays NaN.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(y: &mut [f32], x: &[f32]) {
    assert_eq!(x.len(), y.len(), "relu: x: expected {} elements like y, got {}", y.len(), x.len());
    par::for_each_chunk_mut(y, par::CHUNK, |start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y = if x < 0.0 { 0.0 } else { x };
        }
    });
}

/// `dx = dy` where the output y is positive, else 0.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(dx: Target<'_>, dy: &[f32], y: &[f32]) {
    let Some((dx, beta)) = dx else { return };
    for (name, len) in [("dy", dy.len()), ("y", y.len())] {
        assert_eq!(len, dx.len(), "relu backward: {name}: expected {} elements like dx, got {len}", dx.len());
    }
    par::for_each_chunk_mut(dx, par::CHUNK, |start, dx| {
        for ((dx, &dy), &y) in dx.iter_mut().zip(&dy[start..]).zip(&y[start..]) {
            put(dx, beta, if y > 0.0 { dy } else { 0.0 });
        }
    });
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(x: &[T]) -> Vec<T> {
        x.iter().map(|&x| if x > T::zero() { x } else { T::zero() }).collect()
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(dy: &[T], y: &[T]) -> Vec<T> {
        dy.iter().zip(y).map(|(&dy, &y)| if y > T::zero() { dy } else { T::zero() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for n in [0, 1, 15, 100, 2 * par::CHUNK + 3] {
            let (mut x, dy) = (values(1, n), values(2, n));
            x.iter_mut().step_by(7).for_each(|x| *x = 0.0);
            let y = same_bits("relu", || {
                let mut y = vec![f32::NAN; n];
                forward(&mut y, &x);
                y
            });
            assert_close("y", &y, &textbook::forward(&widen(&x)), 0.0);
            let dx = targets("dx", n, |dx| backward(dx, &dy, &y));
            assert_close("dx", &dx, &textbook::backward(&widen(&dy), &widen(&y)), 0.0);
        }
    }

    #[test]
    fn nan_shows() {
        let mut y = [0.0; 2];
        forward(&mut y, &[f32::NAN, -1.0]);
        assert!(y[0].is_nan() && y[1] == 0.0);
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let (x, dy) = (widen(&values(3, 50)), widen(&values(4, 50)));
        let want = gradient(&x, |x| project(&textbook::forward(x), &dy));
        assert_close_f64("dx", &textbook::backward(&dy, &textbook::forward(&x)), &want, 1e-8);
    }
}
