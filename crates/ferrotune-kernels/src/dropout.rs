//! Dropout by a recomputed mask. Must not know where in a network it stands; that is in the mask's keys.
//!
//! Shapes: x, y, dx, dy: `[n]`. `y_i = x_i·keep_scale(i)`, `dx_i = dy_i·keep_scale(i)` (inverted dropout, Srivastava et al. 2014), where i is
//! the flat index.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use crate::isa::{self, Lane, dispatch};
use crate::mask::Mask;
use crate::par;
use crate::target::{Target, put};

/// `y = dropout(x)`.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(y: &mut [f32], x: &[f32], mask: Mask) {
    assert_eq!(x.len(), y.len(), "dropout: x: expected {} elements like y, got {}", y.len(), x.len());
    apply(y, 0.0, x, mask);
}

/// dx from dy and the mask of the forward.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(dx: Target<'_>, dy: &[f32], mask: Mask) {
    let Some((dx, beta)) = dx else { return };
    assert_eq!(dy.len(), dx.len(), "dropout backward: dy: expected {} elements like dx, got {}", dx.len(), dy.len());
    apply(dx, beta, dy, mask);
}

fn apply(out: &mut [f32], beta: f32, x: &[f32], mask: Mask) {
    let isa = isa::current();
    par::for_each_chunk_mut(out, par::CHUNK, |start, out| {
        let x = &x[start..][..out.len()];
        apply_chunk(isa, out, beta, x, mask, start as u64);
    });
}

dispatch! { fn apply_chunk(out: &mut [f32], beta: f32, x: &[f32], mask: Mask, first: u64) = apply_body; }

#[inline(always)]
fn apply_body<L: Lane>(out: &mut [f32], beta: f32, x: &[f32], mask: Mask, first: u64) {
    const TILE: usize = 256;
    let mut keep = [1.0; TILE];
    for (tile, (out, x)) in out.chunks_mut(TILE).zip(x.chunks(TILE)).enumerate() {
        if !mask.is_none() {
            mask.fill(&mut keep[..x.len()], first + (tile * TILE) as u64);
        }
        for ((out, &x), &keep) in out.iter_mut().zip(x).zip(&keep) {
            put(out, beta, x * keep);
        }
    }
}

/// The specification; it is its own backward.
pub mod textbook {
    use crate::mask::Mask;
    use crate::real::Real;

    /// See [`forward`](super::forward) and [`backward`](super::backward).
    pub fn apply<T: Real>(x: &[T], mask: Mask) -> Vec<T> {
        x.iter().zip(0..).map(|(&x, i)| x * T::from_f64(f64::from(mask.keep_scale(i)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, same_bits, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for mask in [Mask::NONE, Mask::new(0.1, 1, 2, 3, 4), Mask::new(0.9, 1, 2, 3, 4)] {
            for n in [0, 1, 255, 257, 2 * par::CHUNK + 300] {
                let x = values(1, n);
                let y = same_bits("dropout", || {
                    let mut y = vec![f32::NAN; n];
                    forward(&mut y, &x, mask);
                    y
                });
                // One rounding.
                assert_close("y", &y, &textbook::apply(&widen(&x), mask), 2f64.powi(-24));
                let dx = targets("dx", n, |dx| backward(dx, &x, mask));
                assert_eq!(dx, y, "backward scales by the same mask");
            }
        }
    }
}
