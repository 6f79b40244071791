//! Sums of columns: the gradient of a bias. Must not know layers.
//!
//! `out[j] = beta·out[j] + Σ_i x[i, j]` for `x[rows, cols]`. Rows are cut in blocks of a fixed size; each block's sums go to
//! scratch, in parallel, and are then added in the order of the blocks. So the bits do not depend on the number of threads.

use rayon::prelude::*;

use crate::isa::{self, Isa, Lane, dispatch};
use crate::real::Real;

/// Rows of a block: 64 rows of 768 are 192 KiB, a fair task, and the partial sums are 1/64 of the input.
const BLOCK: usize = 64;

/// Elements below which a call stays on the calling thread.
const SERIAL_WORK: usize = 1 << 16;

/// Length of the scratch slice of [`column_sums`]: one partial row per block.
pub fn column_sums_scratch(rows: usize, cols: usize) -> usize {
    rows.div_ceil(BLOCK) * cols
}

/// `out[cols] = beta·out + column sums of x[rows, cols]`; `beta` is 0 (`out` is not read) or 1.
///
/// # Panics
/// If a length disagrees, or `beta` is neither 0 nor 1.
pub fn column_sums(x: &[f32], rows: usize, cols: usize, beta: f32, out: &mut [f32], scratch: &mut [f32]) {
    column_sums_on(isa::current(), x, rows, cols, beta, out, scratch);
}

/// [`column_sums`] with a forced instruction set. Sums are the same bits on each.
fn column_sums_on(isa: Isa, x: &[f32], rows: usize, cols: usize, beta: f32, out: &mut [f32], scratch: &mut [f32]) {
    assert_eq!(x.len(), rows * cols, "column_sums: x has {} elements, expected {rows}·{cols}", x.len());
    assert_eq!(out.len(), cols, "column_sums: out has {} elements, expected {cols}", out.len());
    assert!(beta == 0.0 || beta == 1.0, "column_sums: beta is {beta}, expected 0 or 1");
    let least = column_sums_scratch(rows, cols);
    assert!(scratch.len() >= least, "column_sums: scratch has {} elements, expected at least {least}", scratch.len());
    if cols == 0 {
        return;
    }
    if beta == 0.0 {
        out.fill(0.0);
    }
    let partials = &mut scratch[..least];
    let blocks = x.par_chunks(BLOCK * cols).zip(partials.par_chunks_mut(cols));
    if x.len() < SERIAL_WORK {
        x.chunks(BLOCK * cols).zip(partials.chunks_mut(cols)).for_each(|(x, sums)| sum_block(isa, sums, x));
    } else {
        blocks.for_each(|(x, sums)| sum_block(isa, sums, x));
    }
    sum_rows(isa, out, partials);
}

dispatch! {
    /// `sums = column sums of x`.
    fn sum_block(sums: &mut [f32], x: &[f32]) = sum_block_body;
    /// `sums += column sums of x`.
    fn sum_rows(sums: &mut [f32], x: &[f32]) = sum_rows_body;
}

#[inline(always)]
fn sum_block_body<L: Lane>(sums: &mut [f32], x: &[f32]) {
    sums.fill(0.0);
    sum_rows_body::<L>(sums, x);
}

/// Four rows at a time: a quarter of the traffic to `sums`, and pairs added first lose less than a chain does.
#[inline(always)]
fn sum_rows_body<L: Lane>(sums: &mut [f32], x: &[f32]) {
    let cols = sums.len();
    let mut fours = x.chunks_exact(4 * cols);
    for four in fours.by_ref() {
        let (a, rest) = four.split_at(cols);
        let (b, rest) = rest.split_at(cols);
        let (c, d) = rest.split_at(cols);
        for j in 0..cols {
            sums[j] += (a[j] + b[j]) + (c[j] + d[j]);
        }
    }
    for row in fours.remainder().chunks_exact(cols) {
        for j in 0..cols {
            sums[j] += row[j];
        }
    }
}

/// The specification: one chain of additions down each column.
pub mod textbook {
    use super::Real;

    /// `out[cols] = beta·out + column sums of x[.., cols]`; `out` is not read if `beta` is 0.
    pub fn column_sums<T: Real>(x: &[T], cols: usize, beta: T, out: &mut [T]) {
        for j in 0..cols {
            let start = if beta == T::zero() { T::zero() } else { beta * out[j] };
            out[j] = x.chunks_exact(cols).fold(start, |sum, row| sum + row[j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: usize, cols: usize, beta: f32) {
        let x: Vec<f32> = (0..rows * cols).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        let start: Vec<f32> = (0..cols).map(|j| if beta == 0.0 { f32::NAN } else { j as f32 }).collect();
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let mut expected: Vec<f64> = start.iter().map(|&v| f64::from(v)).collect();
        textbook::column_sums(&wide, cols, f64::from(beta), &mut expected);
        let run = |isa, threads| {
            let mut out = start.clone();
            let mut scratch = vec![f32::NAN; column_sums_scratch(rows, cols)];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| column_sums_on(isa, &x, rows, cols, beta, &mut out, &mut scratch));
            out
        };
        let first = run(Isa::Portable, 1);
        for j in 0..cols {
            // At most rows + 1 roundings, each of a partial sum that is at most |start| + rows in size, as |x| <= 1.
            let bound = (rows + 1) as f64 * f64::from(f32::EPSILON) / 2.0 * (j as f64 + rows as f64);
            let error = (f64::from(first[j]) - expected[j]).abs();
            assert!(error <= bound, "{rows}×{cols} beta {beta} column {j}: error {error:e}, bound {bound:e}");
        }
        for isa in isa::available() {
            for threads in [1, 2, 5] {
                let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&run(isa, threads)), bits(&first), "{rows}×{cols} {} {threads} threads", isa.name());
            }
        }
    }

    #[test]
    fn sums_agree_with_f64_and_have_the_same_bits_on_all_sets_and_thread_counts() {
        for rows in [0, 1, 2, 3, 4, 5, 63, 64, 65, 67, 131, 746] {
            for cols in [0, 1, 2, 7, 16, 17, 100, 384] {
                check(rows, cols, 0.0);
                check(rows, cols, 1.0);
            }
        }
    }
}
