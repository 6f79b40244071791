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

/// Whether `x` holds neither NaN nor infinity.
pub fn all_finite(x: &[f32]) -> bool {
    let isa = isa::current();
    par::sum_chunks(x.len(), par::CHUNK, |_, range| f64::from(u8::from(has_non_finite(isa, &x[range])))) == 0.0
}

dispatch! {
    fn sum_squares_chunk(x: &[f32]) -> f64 = sum_squares_body;
    fn has_non_finite(x: &[f32]) -> bool = has_non_finite_body;
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

#[inline(always)]
fn has_non_finite_body<L: Lane>(x: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    // The largest exponent field tells; no branch in the loop, so that it vectorises.
    let largest = x.iter().fold(0, |largest, &x| largest.max(x.to_bits() & EXPONENT));
    largest == EXPONENT
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`sum_squares`](super::sum_squares).
    pub fn sum_squares<T: Real>(x: &[T]) -> T {
        x.iter().map(|&x| x * x).sum()
    }

    /// See [`all_finite`](super::all_finite).
    pub fn all_finite<T: Real>(x: &[T]) -> bool {
        x.iter().all(|x| x.is_finite())
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

    #[test]
    fn one_bad_value_anywhere_is_found() {
        for n in [1, 15, 33, 2 * par::CHUNK + 7] {
            let mut x = values(1, n);
            x[0] = f32::MAX;
            assert!(all_finite(&x) && textbook::all_finite(&x));
            for position in [0, n / 2, n - 1] {
                for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let good = std::mem::replace(&mut x[position], bad);
                    assert!(!all_finite(&x) && !textbook::all_finite(&x));
                    x[position] = good;
                }
            }
        }
        assert!(all_finite(&[]));
    }
}
