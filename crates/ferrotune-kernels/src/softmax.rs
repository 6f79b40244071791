//! Softmax over the rows of a matrix. Must not know attention or losses, which have their own inside.
//!
//! Shapes: x, y, dx, dy: `[n, c]`. `y_ij = exp(x_ij - max_j x_ij) / Σ_j exp(..)`, `dx_ij = y_ij·(dy_ij - Σ_j dy_ij·y_ij)`.

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::target::{Target, put};
use crate::vmath;

/// `y = softmax(x)` of each row of `cols` elements.
///
/// # Panics
/// If the slices differ in length or do not hold whole rows.
pub fn forward(y: &mut [f32], x: &[f32], cols: usize) {
    assert_eq!(x.len(), y.len(), "softmax: x: expected {} elements like y, got {}", y.len(), x.len());
    let Some(chunk) = chunk_of("softmax", y.len(), cols) else { return };
    let isa = isa::current();
    par::for_each_chunk_mut(y, chunk, |start, y| forward_chunk(isa, y, &x[start..][..y.len()], cols));
}

/// dx from dy and the output y.
///
/// # Panics
/// If the slices differ in length or do not hold whole rows.
pub fn backward(dx: Target<'_>, dy: &[f32], y: &[f32], cols: usize) {
    let Some((dx, beta)) = dx else { return };
    for (name, len) in [("dy", dy.len()), ("y", y.len())] {
        assert_eq!(len, dx.len(), "softmax backward: {name}: expected {} elements like dx, got {len}", dx.len());
    }
    let Some(chunk) = chunk_of("softmax backward", dx.len(), cols) else { return };
    let isa = isa::current();
    par::for_each_chunk_mut(dx, chunk, |start, dx| {
        let n = dx.len();
        backward_chunk(isa, dx, beta, &dy[start..][..n], &y[start..][..n], cols);
    });
}

/// Elements of a chunk of whole rows; `None` if there is nothing to do.
fn chunk_of(op: &str, len: usize, cols: usize) -> Option<usize> {
    if len == 0 {
        return None;
    }
    assert!(cols > 0 && len.is_multiple_of(cols), "{op}: {len} elements are no whole rows of {cols}");
    Some(par::rows_per_chunk(par::CHUNK, cols) * cols)
}

dispatch! {
    fn forward_chunk(y: &mut [f32], x: &[f32], cols: usize) = forward_body;
    fn backward_chunk(dx: &mut [f32], beta: f32, dy: &[f32], y: &[f32], cols: usize) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lane>(y: &mut [f32], x: &[f32], cols: usize) {
    for (y, x) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)) {
        let max = vmath::max(x);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = vmath::exp::<L>(x - max);
        }
        let inverse = 1.0 / vmath::sum(y);
        y.iter_mut().for_each(|y| *y *= inverse);
    }
}

#[inline(always)]
fn backward_body<L: Lane>(dx: &mut [f32], beta: f32, dy: &[f32], y: &[f32], cols: usize) {
    let rows = dx.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(y.chunks_exact(cols));
    for ((dx, dy), y) in rows {
        let mean = vmath::dot::<L>(dy, y);
        for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
            put(dx, beta, y * (dy - mean));
        }
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(x: &[T], cols: usize) -> Vec<T> {
        let mut y = vec![];
        for x in x.chunks(cols) {
            let max = x.iter().fold(T::neg_infinity(), |max, &x| max.max(x));
            let sum: T = x.iter().map(|&x| (x - max).exp()).sum();
            y.extend(x.iter().map(|&x| (x - max).exp() / sum));
        }
        y
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(dy: &[T], y: &[T], cols: usize) -> Vec<T> {
        let mut dx = vec![];
        for (dy, y) in dy.chunks(cols).zip(y.chunks(cols)) {
            let mean: T = dy.iter().zip(y).map(|(&dy, &y)| dy * y).sum();
            dx.extend(dy.iter().zip(y).map(|(&dy, &y)| y * (dy - mean)));
        }
        dx
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for (rows, cols) in [(0, 5), (1, 1), (7, 2), (5, 17), (3, 100), (700, 97), (2, 40_000)] {
            let n = rows * cols;
            let (x, dy) = (values(1, n), values(2, n));
            let y = same_bits("softmax", || {
                let mut y = vec![f32::NAN; n];
                forward(&mut y, &x, cols);
                y
            });
            // exp 1.1 ulp, the sum of lanes, a reciprocal and a product, of numbers up to 1.
            assert_close("y", &y, &textbook::forward(&widen(&x), cols), 12.0 * 2f64.powi(-24));
            let dx = targets("dx", n, |dx| backward(dx, &dy, &y, cols));
            // Σ dy·y is below 2, its error a few roundings of that.
            assert_close("dx", &dx, &textbook::backward(&widen(&dy), &widen(&y), cols), 12.0 * 2f64.powi(-24));
        }
    }

    #[test]
    fn large_inputs_do_not_overflow_and_nan_shows() {
        let mut y = [0.0; 3];
        forward(&mut y, &[1e30, 1e30, -1e30], 3);
        assert_eq!(y, [0.5, 0.5, 0.0]);
        forward(&mut y, &[0.0, f32::NAN, 1.0], 3);
        assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let (x, dy) = (widen(&values(3, 35)), widen(&values(4, 35)));
        let want = gradient(&x, |x| project(&textbook::forward(x, 7), &dy));
        assert_close_f64("dx", &textbook::backward(&dy, &textbook::forward(&x, 7), 7), &want, 1e-8);
    }
}
