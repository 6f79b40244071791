//! Rotary positions: queries and keys turned by an angle for each position, so that their products depend on distances alone. Must not know
//! attention.
//!
//! Shapes: x, y, dx, dy: `[n, w]`; positions: `[n]`; frequencies: `[d/2]`. The first `heads` blocks of d columns are turned, the rest is copied. With
//! `a = position·frequency_i`, for the pair of columns i and i + d/2 of each of these blocks (Su et al. 2021,
//! <https://arxiv.org/abs/2104.09864>; in halves, as `rotate_half` of transformers):
//!
//! ```text
//! y_i = x_i·cos a - x_{i+d/2}·sin a     y_{i+d/2} = x_{i+d/2}·cos a + x_i·sin a
//! ```
//!
//! The matrix of a turn is orthogonal, so backward turns the other way.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::target::{Target, put};

/// Numbers of the table of cosines and sines that share a task: some ten microseconds.
const ANGLES: usize = 1024;

/// What is turned, and how.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'a> {
    /// The position of each row.
    pub positions: &'a [u32],
    /// Radians from one position to the next, for each pair of columns of a head.
    pub frequencies: &'a [f32],
    /// Heads that are turned, at the front of each row.
    pub heads: usize,
    /// w, the length of a row.
    pub width: usize,
}

impl Rotary<'_> {
    /// Numbers of scratch that both directions need: cosines and sines of all positions up to the last one that occurs.
    pub fn scratch(&self) -> usize {
        let positions = self.positions.iter().max().map_or(0, |&last| last as usize + 1);
        2 * positions * self.frequencies.len()
    }

    fn check(&self, op: &str, x: usize, y: usize, scratch: usize) {
        let (rows, turned) = (self.positions.len(), 2 * self.heads * self.frequencies.len());
        assert!(turned <= self.width, "{op}: width: {} columns for {turned} that are turned", self.width);
        for (name, len) in [("x", x), ("y", y)] {
            assert_eq!(
                len,
                rows * self.width,
                "{op}: {name}: expected {rows} rows of {}, got {len} elements",
                self.width
            );
        }
        assert!(scratch >= self.scratch(), "{op}: scratch: expected {} elements, got {scratch}", self.scratch());
    }
}

/// `y = turned x`.
///
/// # Panics
/// If a slice has another length than its shape, `scratch` is shorter than [`Rotary::scratch`], or the heads are wider than a row.
pub fn forward(y: &mut [f32], x: &[f32], rotary: Rotary<'_>, scratch: &mut [f32]) {
    rotary.check("rotary", x.len(), y.len(), scratch.len());
    turn(y, 0.0, x, rotary, scratch, 1.0);
}

/// `dx = dy turned back`.
///
/// # Panics
/// As [`forward`].
pub fn backward(dx: Target<'_>, dy: &[f32], rotary: Rotary<'_>, scratch: &mut [f32]) {
    let Some((dx, beta)) = dx else { return };
    rotary.check("rotary backward", dy.len(), dx.len(), scratch.len());
    turn(dx, beta, dy, rotary, scratch, -1.0);
}

fn turn(y: &mut [f32], beta: f32, x: &[f32], rotary: Rotary<'_>, scratch: &mut [f32], direction: f32) {
    let Rotary { positions, frequencies, heads, width } = rotary;
    if width == 0 || positions.is_empty() {
        return;
    }
    let half = frequencies.len();
    let table = &mut scratch[..rotary.scratch()];
    let row = (2 * half).max(1);
    par::for_each_chunk_mut(table, par::rows_per_chunk(ANGLES, row) * row, |start, table| {
        for (position, row) in (start / row..).zip(table.chunks_exact_mut(row)) {
            let (cosines, sines) = row.split_at_mut(half);
            for ((cosine, sine), &frequency) in cosines.iter_mut().zip(sines).zip(frequencies) {
                // One product rounded to f32, as in the reference, then exact to the last place.
                let (s, c) = f64::from(position as f32 * frequency).sin_cos();
                (*cosine, *sine) = (c as f32, direction * s as f32);
            }
        }
    });
    let (table, isa) = (&*table, isa::current());
    let chunk = par::rows_per_chunk(par::CHUNK, width) * width;
    par::for_each_chunk_mut(y, chunk, |start, y| {
        let rows = y.chunks_exact_mut(width).zip(x[start..].chunks_exact(width)).zip(&positions[start / width..]);
        for ((y, x), &position) in rows {
            let (cosines, sines) = table[2 * half * position as usize..][..2 * half].split_at(half);
            turn_row(isa, y, beta, x, cosines, sines, heads);
        }
    });
}

dispatch! {
    fn turn_row(y: &mut [f32], beta: f32, x: &[f32], cosines: &[f32], sines: &[f32], heads: usize) = turn_row_body;
}

#[inline(always)]
fn turn_row_body<L: Lane>(y: &mut [f32], beta: f32, x: &[f32], cosines: &[f32], sines: &[f32], heads: usize) {
    let half = cosines.len();
    let turned = 2 * half * heads;
    let (y_turned, y_rest) = y.split_at_mut(turned);
    let (x_turned, x_rest) = x.split_at(turned);
    for (y, x) in y_turned.chunks_exact_mut((2 * half).max(1)).zip(x_turned.chunks_exact((2 * half).max(1))) {
        let ((y_low, y_high), (x_low, x_high)) = (y.split_at_mut(half), x.split_at(half));
        for i in 0..half {
            let (low, high, c, s) = (x_low[i], x_high[i], cosines[i], sines[i]);
            put(&mut y_low[i], beta, L::mul_add(low, c, -(high * s)));
            put(&mut y_high[i], beta, L::mul_add(high, c, low * s));
        }
    }
    for (y, &x) in y_rest.iter_mut().zip(x_rest) {
        put(y, beta, x);
    }
}

/// The specification.
pub mod textbook {
    use super::Rotary;
    use crate::real::Real;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(x: &[T], rotary: Rotary<'_>) -> Vec<T> {
        turn(x, rotary, 1.0)
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(dy: &[T], rotary: Rotary<'_>) -> Vec<T> {
        turn(dy, rotary, -1.0)
    }

    fn turn<T: Real>(x: &[T], rotary: Rotary<'_>, direction: f64) -> Vec<T> {
        let (mut y, half) = (x.to_vec(), rotary.frequencies.len());
        for (row, &position) in rotary.positions.iter().enumerate() {
            for head in 0..rotary.heads {
                for (i, &frequency) in rotary.frequencies.iter().enumerate() {
                    let angle = direction * f64::from(position as f32 * frequency);
                    let (c, s) = (T::from_f64(angle.cos()), T::from_f64(angle.sin()));
                    let low = row * rotary.width + 2 * half * head + i;
                    let high = low + half;
                    y[low] = x[low] * c - x[high] * s;
                    y[high] = x[high] * c + x[low] * s;
                }
            }
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    const FREQUENCIES: [f32; 16] = [
        1.0, 0.56, 0.31, 0.17, 0.1, 0.056, 0.031, 0.017, 0.01, 0.0056, 0.0031, 0.0017, 0.001, 0.00056, 0.00031, 0.00017,
    ];

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for (rows, half, heads, width) in [(0, 2, 1, 4), (1, 1, 1, 2), (9, 3, 2, 19), (5, 16, 0, 7), (700, 16, 4, 192)]
        {
            let positions: Vec<u32> = (0..rows).map(|row| row as u32 * 37 % 501).collect();
            let rotary = Rotary { positions: &positions, frequencies: &FREQUENCIES[..half], heads, width };
            let scratch = || vec![f32::NAN; rotary.scratch()];
            let (x, dy) = (values(1, rows * width), values(2, rows * width));
            let y = same_bits("rotary", || {
                let mut y = vec![f32::NAN; rows * width];
                forward(&mut y, &x, rotary, &mut scratch());
                y
            });
            // Cosine, sine and two products of numbers below 2, each rounded once: 4·2^-24 each, and the sum.
            let most = 20.0 * 2f64.powi(-24);
            assert_close("y", &y, &textbook::forward(&widen(&x), rotary), most);
            let dx = targets("dx", rows * width, |dx| backward(dx, &dy, rotary, &mut scratch()));
            assert_close("dx", &dx, &textbook::backward(&widen(&dy), rotary), most);
        }
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let rotary = Rotary { positions: &[0, 1, 5], frequencies: &FREQUENCIES[..2], heads: 2, width: 10 };
        let (x, dy) = (widen(&values(3, 30)), widen(&values(4, 30)));
        let want = gradient(&x, |x| project(&textbook::forward(x, rotary), &dy));
        assert_close_f64("dx", &textbook::backward(&dy, rotary), &want, 1e-8);
    }

    /// What the turns are for: the product of a query and a key is a function of their distance.
    #[test]
    fn products_depend_on_distances_alone() {
        let (q, k) = (values(5, 8), values(6, 8));
        let product = |at: u32, distance: u32| -> f64 {
            let positions = [at, at + distance];
            let rotary = Rotary { positions: &positions, frequencies: &FREQUENCIES[..4], heads: 1, width: 8 };
            let turned = textbook::forward(&widen(&[q.clone(), k.clone()].concat()), rotary);
            turned[..8].iter().zip(&turned[8..]).map(|(q, k)| q * k).sum()
        };
        for distance in [0, 3, 40] {
            // Angles are rounded to f32: 100 radians by 4e-6.
            assert!((product(0, distance) - product(61, distance)).abs() < 1e-4, "{distance}");
        }
    }

    #[test]
    #[should_panic(expected = "rotary: scratch: expected 24 elements, got 23")]
    fn a_short_scratch_panics() {
        let rotary = Rotary { positions: &[5], frequencies: &[1.0, 0.1], heads: 1, width: 4 };
        forward(&mut [0.0; 4], &[0.0; 4], rotary, &mut [0.0; 23]);
    }
}
