//! The mean of each sequence's rows: what a head reads that does not read first tokens. Must not know the head.
//!
//! Shapes: x, dx: `[t, w]`; y, dy: `[b, w]`; offsets: `[b + 1]`, ascending from 0 to t. `y_s = Σ x_r / n_s` over the rows r from `offsets[s]` to
//! `offsets[s + 1]`, of which there are n_s, in their order; nothing is the mean of no rows: 0.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::target::{Target, put};

/// `y = means of x`, rows of `width`.
///
/// # Panics
/// If the offsets do not ascend from 0, or a slice has another length than its shape.
pub fn forward(y: &mut [f32], x: &[f32], offsets: &[u32], width: usize) {
    check("sequence_means", x.len(), y.len(), offsets, width);
    if width == 0 {
        return;
    }
    let isa = isa::current();
    // A sequence is some hundred rows to read for one to write.
    par::for_each_chunk_mut(y, width, |start, y| {
        let rows = rows_of(offsets, start / width);
        mean(isa, y, &x[rows.start * width..rows.end * width]);
    });
}

/// `dx_r = dy_s / n_s` for each row r of sequence s.
///
/// # Panics
/// As [`forward`].
pub fn backward(dx: Target<'_>, dy: &[f32], offsets: &[u32], width: usize) {
    let Some((dx, beta)) = dx else { return };
    check("sequence_means backward", dx.len(), dy.len(), offsets, width);
    if width == 0 {
        return;
    }
    let isa = isa::current();
    let chunk = par::rows_per_chunk(par::CHUNK, width) * width;
    par::for_each_chunk_mut(dx, chunk, |start, dx| {
        let first = start / width;
        for (row, dx) in (first..).zip(dx.chunks_exact_mut(width)) {
            // The last sequence that begins at or before the row; those without rows begin where the next one does.
            let sequence = offsets.partition_point(|&offset| offset as usize <= row) - 1;
            let share = 1.0 / rows_of(offsets, sequence).len() as f32;
            spread(isa, dx, beta, &dy[sequence * width..][..width], share);
        }
    });
}

fn rows_of(offsets: &[u32], sequence: usize) -> std::ops::Range<usize> {
    offsets[sequence] as usize..offsets[sequence + 1] as usize
}

fn check(op: &str, x: usize, y: usize, offsets: &[u32], width: usize) {
    assert!(
        offsets.first() == Some(&0) && offsets.is_sorted(),
        "{op}: offsets: expected B + 1 of them, ascending from 0"
    );
    let (sequences, rows) = (offsets.len() - 1, offsets[offsets.len() - 1] as usize);
    assert_eq!(x, rows * width, "{op}: x: expected {rows} rows of {width}, got {x} elements");
    assert_eq!(y, sequences * width, "{op}: y: expected {sequences} rows of {width}, got {y} elements");
}

dispatch! {
    fn mean(y: &mut [f32], x: &[f32]) = mean_body;
    fn spread(dx: &mut [f32], beta: f32, dy: &[f32], share: f32) = spread_body;
}

#[inline(always)]
fn mean_body<L: Lane>(y: &mut [f32], x: &[f32]) {
    y.fill(0.0);
    let rows = x.len() / y.len();
    for x in x.chunks_exact(y.len()) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
    let share = 1.0 / rows.max(1) as f32;
    for y in y {
        *y *= share;
    }
}

#[inline(always)]
fn spread_body<L: Lane>(dx: &mut [f32], beta: f32, dy: &[f32], share: f32) {
    for (dx, &dy) in dx.iter_mut().zip(dy) {
        put(dx, beta, dy * share);
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`forward`](super::forward).
    pub fn forward<T: Real>(x: &[T], offsets: &[u32], width: usize) -> Vec<T> {
        let mut y = Vec::new();
        for pair in offsets.windows(2) {
            let rows = pair[0] as usize..pair[1] as usize;
            let share = T::from_f64(1.0 / rows.len().max(1) as f64);
            y.extend((0..width).map(|c| rows.clone().map(|row| x[row * width + c]).sum::<T>() * share));
        }
        y
    }

    /// See [`backward`](super::backward).
    pub fn backward<T: Real>(dy: &[T], offsets: &[u32], width: usize) -> Vec<T> {
        let mut dx = Vec::new();
        for (sequence, pair) in offsets.windows(2).enumerate() {
            let share = T::from_f64(1.0 / f64::from(pair[1] - pair[0]).max(1.0));
            for _ in pair[0]..pair[1] {
                dx.extend(dy[sequence * width..][..width].iter().map(|&dy| dy * share));
            }
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
        for (offsets, width) in
            [(&[0u32, 1, 4, 4, 9][..], 5), (&[0], 3), (&[0, 0, 3, 3], 1), (&[0, 2], 0), (&[0, 300, 301, 800], 192)]
        {
            let (rows, sequences) = (offsets[offsets.len() - 1] as usize, offsets.len() - 1);
            let (x, dy) = (values(1, rows * width), values(2, sequences * width));
            let y = same_bits("sequence_means", || {
                let mut y = vec![f32::NAN; sequences * width];
                forward(&mut y, &x, offsets, width);
                y
            });
            // A sum of n numbers below 2 is off by at most n·n·2·2^-24, its n-th part by n·2·2^-24; and a product.
            let longest = offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            let most = f64::from(2 * longest + 4) * 2f64.powi(-24);
            assert_close("y", &y, &textbook::forward(&widen(&x), offsets, width), most);
            let dx = targets("dx", rows * width, |dx| backward(dx, &dy, offsets, width));
            assert_close("dx", &dx, &textbook::backward(&widen(&dy), offsets, width), 4.0 * 2f64.powi(-24));
        }
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let (x, dy, offsets) = (widen(&values(3, 12)), widen(&values(4, 9)), [0, 1, 1, 4]);
        let want = gradient(&x, |x| project(&textbook::forward(x, &offsets, 3), &dy));
        assert_close_f64("dx", &textbook::backward(&dy, &offsets, 3), &want, 1e-8);
    }

    #[test]
    #[should_panic(expected = "sequence_means: x: expected 4 rows of 2, got 6 elements")]
    fn another_length_panics() {
        forward(&mut [0.0; 4], &[0.0; 6], &[0, 1, 4], 2);
    }
}
