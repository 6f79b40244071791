//! GELU of one half of the columns times the other half, the feed-forward activation of ModernBERT. Must not know the layers around it.
//!
//! Shapes: x, dx: `[n, 2w]`; y, dy: `[n, w]`. With `x = a|b` by columns, `y = gelu(a)·b`, `da = dy·b·gelu'(a)` and `db = dy·gelu(a)` (Shazeer 2020,
//! <https://arxiv.org/abs/2002.05202>, with the exact GELU).

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::target::{Target, put};
use crate::vmath;

/// `y = gelu(a)·b` for rows `a|b` of twice `width`.
///
/// # Panics
/// If x is not twice as long as y, or y is no whole number of rows.
pub fn forward(y: &mut [f32], x: &[f32], width: usize) {
    check("geglu", x.len(), y.len(), width);
    if width == 0 {
        return;
    }
    let isa = isa::current();
    let chunk = par::rows_per_chunk(par::CHUNK, width) * width;
    par::for_each_chunk_mut(y, chunk, |start, y| forward_rows(isa, y, &x[2 * start..][..2 * y.len()], width));
}

/// `dx = dy·b·gelu'(a) | dy·gelu(a)`.
///
/// # Panics
/// As [`forward`].
pub fn backward(dx: Target<'_>, dy: &[f32], x: &[f32], width: usize) {
    let Some((dx, beta)) = dx else { return };
    check("geglu backward", x.len(), dy.len(), width);
    assert_eq!(dx.len(), x.len(), "geglu backward: dx: expected {} elements like x, got {}", x.len(), dx.len());
    if width == 0 {
        return;
    }
    let isa = isa::current();
    let chunk = par::rows_per_chunk(par::CHUNK, 2 * width) * 2 * width;
    par::for_each_chunk_mut(dx, chunk, |start, dx| {
        let n = dx.len();
        backward_rows(isa, dx, beta, &dy[start / 2..][..n / 2], &x[start..][..n], width);
    });
}

fn check(op: &str, x: usize, y: usize, width: usize) {
    assert!(y.is_multiple_of(width.max(1)), "{op}: y: expected rows of {width}, got {y} elements");
    assert_eq!(x, 2 * y, "{op}: x: expected {} elements, twice as many as y, got {x}", 2 * y);
}

dispatch! {
    fn forward_rows(y: &mut [f32], x: &[f32], width: usize) = forward_body;
    fn backward_rows(dx: &mut [f32], beta: f32, dy: &[f32], x: &[f32], width: usize) = backward_body;
}

#[inline(always)]
fn forward_body<L: Lane>(y: &mut [f32], x: &[f32], width: usize) {
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(2 * width)) {
        let (a, b) = x.split_at(width);
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = vmath::gelu::<L>(a) * b;
        }
    }
}

#[inline(always)]
fn backward_body<L: Lane>(dx: &mut [f32], beta: f32, dy: &[f32], x: &[f32], width: usize) {
    let rows = dx.chunks_exact_mut(2 * width).zip(x.chunks_exact(2 * width)).zip(dy.chunks_exact(width));
    for ((dx, x), dy) in rows {
        let ((da, db), (a, b)) = (dx.split_at_mut(width), x.split_at(width));
        for ((da, (&a, &b)), &dy) in da.iter_mut().zip(a.iter().zip(b)).zip(dy) {
            put(da, beta, dy * b * vmath::gelu_derivative::<L>(a));
        }
        for ((db, &a), &dy) in db.iter_mut().zip(a).zip(dy) {
            put(db, beta, dy * vmath::gelu::<L>(a));
        }
    }
}

/// The specification.
pub mod textbook {
    use crate::gelu::textbook as gelu;
    use crate::real::Real;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(x: &[T], width: usize) -> Vec<T> {
        let row = |x: &[T]| -> Vec<T> {
            gelu::forward(&x[..width]).iter().zip(&x[width..]).map(|(&gelu, &b)| gelu * b).collect()
        };
        x.chunks(2 * width).flat_map(row).collect()
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(dy: &[T], x: &[T], width: usize) -> Vec<T> {
        let mut dx = Vec::new();
        for (dy, x) in dy.chunks(width).zip(x.chunks(2 * width)) {
            let (a, b) = x.split_at(width);
            dx.extend(gelu::backward(dy, a).iter().zip(b).map(|(&slope, &b)| slope * b));
            dx.extend(gelu::forward(a).iter().zip(dy).map(|(&gelu, &dy)| gelu * dy));
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
        for (rows, width) in [(0, 4), (3, 0), (1, 1), (5, 17), (300, 96), (2, par::CHUNK + 3)] {
            let x: Vec<f32> = values(1, 2 * rows * width).iter().map(|x| 2.0 * x).collect();
            let dy = values(2, rows * width);
            let y = same_bits("geglu", || {
                let mut y = vec![f32::NAN; rows * width];
                forward(&mut y, &x, width);
                y
            });
            // |a|, |b| < 4: (4 + 4²/2)·2^-24 of gelu, times b, and one rounding of a product below 16.
            let wide = widen(&x);
            let want = if width == 0 { vec![] } else { textbook::forward(&wide, width) };
            assert_close("y", &y, &want, 64.0 * 2f64.powi(-24));
            let dx = targets("dx", 2 * rows * width, |dx| backward(dx, &dy, &x, width));
            let want = if width == 0 { vec![] } else { textbook::backward(&widen(&dy), &wide, width) };
            // 4e-7, the bound of vmath::gelu_derivative, times |dy·b| < 8; of gelu(a) it is 12·2^-24 times |dy| < 2; and two roundings.
            assert_close("dx", &dx, &want, 5e-6);
        }
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let (x, dy) = (widen(&values(3, 60)), widen(&values(4, 30)));
        let want = gradient(&x, |x| project(&textbook::forward(x, 10), &dy));
        assert_close_f64("dx", &textbook::backward(&dy, &x, 10), &want, 1e-8);
    }

    #[test]
    #[should_panic(expected = "geglu: x: expected 12 elements, twice as many as y, got 11")]
    fn another_length_panics() {
        forward(&mut [0.0; 6], &[0.0; 11], 3);
    }
}
