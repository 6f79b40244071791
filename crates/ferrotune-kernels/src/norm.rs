//! Sum of squares and the search for NaN and infinity over flat memory: gradient clipping and the guard before each step.
//! Must not know parameters or gradients.
//!
//! Shapes: x: `[n]`.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::vmath::LANES;

/// `Σ x²` in `f64`: squares of `f32` are exact there, so nothing overflows and the error is a few 2^-53.
pub fn sum_squares(x: &[f32]) -> f64 {
    let isa = isa::current();
    par::sum_chunks(x.len(), par::CHUNK, |_, range| sum_squares_chunk(isa, &x[range]))
}

dispatch! {
    fn sum_squares_chunk(x: &[f32]) -> f64 = sum_squares_body;
}

#[inline(always)]
fn sum_squares_body<L: Lane>(x: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            let value = f64::from(block[lane]);
            lanes[lane] += value * value;
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(tail) {
        *lane += f64::from(value) * f64::from(value);
    }
    lanes.iter().sum()
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`sum_squares`](super::sum_squares).
    pub fn sum_squares<T: Real>(x: &[T]) -> T {
        x.iter().map(|&x| x * x).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{on_threads, values, widen};

    #[test]
    fn sum_of_squares_follows_the_textbook_with_the_same_bits_on_any_threads() {
        for n in [0, 1, 15, 33, 5 * par::CHUNK + 7] {
            let x = values(1, n);
            let one = on_threads(1, || sum_squares(&x));
            let want = textbook::sum_squares(&widen(&x));
            // n roundings in the textbook, fewer here.
            assert!((one - want).abs() <= n as f64 * 2f64.powi(-53) * want, "{one} {want}");
            for threads in [2, 5] {
                assert_eq!(one.to_bits(), on_threads(threads, || sum_squares(&x)).to_bits());
            }
        }
        let large = f64::from(1e30f32) * f64::from(1e30f32);
        assert_eq!(sum_squares(&[1e30; 2]), 2.0 * large);
    }
}
