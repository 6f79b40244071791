//! The operations on one tile that forward and backward of attention are made of. Must not know sequences, heads or targets.
//!
//! A tile is at most [`TILE`] queries by [`TILE`] keys, stored with rows of `TILE`. Its columns are computed in blocks of [`BLOCK`], so
//! columns up to the next multiple of it hold numbers that nobody may read as a result.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use super::{MAX_HEAD_DIM, Place};
use crate::isa::{Lane, dispatch};
use crate::mask::Mask;
use crate::par::DisjointMut;
use crate::vmath;

/// Queries and keys of a tile.
pub(super) const TILE: usize = 64;
/// Columns of the register block: one AVX-512 register, two AVX2 registers.
pub(super) const BLOCK: usize = 16;
/// Rows of the register block: 12 of the 16 AVX2 registers are sums.
const ROWS: usize = 6;

/// The dropout of a tile: which part of a mask it takes.
#[derive(Clone, Copy)]
pub(super) struct TileMask {
    pub(super) mask: Mask,
    /// The mask's element of the tile's first query and key.
    pub(super) first: u64,
    /// Elements from one query to the next.
    pub(super) row: u64,
}

impl TileMask {
    /// The factors of row `i` of the tile.
    #[inline(always)]
    fn fill_row(&self, keep: &mut [f32], i: usize) {
        self.mask.fill(keep, self.first + i as u64 * self.row);
    }
}

/// Scores, probabilities or their gradients of a tile.
pub(super) type Scores = [f32; TILE * TILE];
/// Keys or values of a tile, transposed: `[d, TILE]`.
pub(super) type Transposed = [f32; MAX_HEAD_DIM * TILE];

/// A matrix that is only read: element (i, j) is `data[first + i·row + j·column]`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) first: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<'a> View<'a> {
    /// One head's columns, from `row` on, of a matrix that lies at `place` in `data`.
    pub(super) fn of_head(data: &'a [f32], place: Place, row: usize, column: usize) -> Self {
        View { data, first: row * place.stride + place.first + column, row: place.stride, column: 1 }
    }
}

/// A matrix that is written: a block of rows and columns of memory whose other parts belong to other tasks.
pub(super) struct ViewMut<'a> {
    memory: DisjointMut<'a>,
    first: usize,
    stride: usize,
    rows: usize,
    cols: usize,
}

impl<'a> ViewMut<'a> {
    /// Row i is `memory[first + i·stride..][..cols]`.
    ///
    /// # Safety
    /// While the view is used, nobody else may hold any element of its rows, through whichever handle.
    pub(super) unsafe fn new(memory: DisjointMut<'a>, first: usize, stride: usize, rows: usize, cols: usize) -> Self {
        assert!(rows == 0 || cols <= stride, "attention: view of {cols} columns in rows of {stride}");
        Self { memory, first, stride, rows, cols }
    }

    /// A view of a local tile.
    pub(super) fn of_scores(scores: &'a mut Scores, rows: usize, cols: usize) -> Self {
        // SAFETY: the tile is borrowed for as long as the view lives.
        unsafe { Self::new(DisjointMut::new(scores), 0, TILE, rows, cols) }
    }

    #[inline(always)]
    fn row(&mut self, row: usize, from: usize, count: usize) -> &mut [f32] {
        assert!(row < self.rows && from + count <= self.cols);
        let start = self.first + row * self.stride + from;
        // SAFETY: inside the view, whose maker promised that nobody else holds it; `&mut self` keeps its own rows apart.
        unsafe { self.memory.range(start..start + count) }
    }
}

dispatch! {
    /// `c = a·b`, added to c if `add`. c gives the size `[m, n]`, `depth` the length of the sums, which run upwards.
    /// `b.column` must be 1.
    pub(super) fn product(c: ViewMut<'_>, add: bool, a: View<'_>, b: View<'_>, depth: usize) = product_body;
    /// `out[j][i] = factor·x[i][j]` for `rows` rows of `cols`, and zeros up to the next multiple of `BLOCK` rows.
    pub(super) fn transpose(out: &mut Transposed, x: View<'_>, rows: usize, cols: usize, factor: f32) = transpose_body;
    /// One step of the online softmax on `keys` columns of scores, which become `exp(s - max)`, masked. Updates each row's maximum
    /// and its sum of unmasked numbers, and tells by what earlier results of the row must be multiplied.
    pub(super) fn softmax(
        scores: &mut Scores, max: &mut [f32], sum: &mut [f32], rescale: &mut [f32], keys: usize, mask: TileMask,
    ) = softmax_body;
    /// Zeros.
    pub(super) fn zero(c: ViewMut<'_>) = zero_body;
    /// `c[i] = factors[i]·c[i]`, row by row.
    pub(super) fn rescale_rows(c: ViewMut<'_>, factors: &[f32]) = rescale_body;
    /// From scores and from `dctx·vᵀ` in `grads` makes `z·p` and `scale·p·(z·(dctx·vᵀ) - delta)`.
    pub(super) fn score_gradients(
        scores: &mut Scores, grads: &mut Scores, lse: &[f32], delta: &[f32], keys: usize, scale: f32, mask: TileMask,
    ) = score_gradients_body;
    /// `out[i] = x[i]·y[i]` over rows of `cols`; both with column 1.
    pub(super) fn row_dots(out: &mut [f32], x: View<'_>, y: View<'_>, cols: usize) = row_dots_body;
}

#[inline(always)]
fn product_body<L: Lane>(mut c: ViewMut<'_>, add: bool, a: View<'_>, b: View<'_>, depth: usize) {
    let (m, n) = (c.rows, c.cols);
    if m == 0 || n == 0 {
        return;
    }
    if depth > 0 {
        let last_a = a.first + (m - 1) * a.row + (depth - 1) * a.column;
        let last_b = b.first + (depth - 1) * b.row + n - 1;
        assert!(
            last_a < a.data.len() && last_b < b.data.len() && b.column == 1,
            "attention: product outside its inputs"
        );
    }
    for row in (0..m).step_by(ROWS) {
        let a = View { first: a.first + row * a.row, ..a };
        for column in (0..n).step_by(BLOCK) {
            let width = BLOCK.min(n - column);
            let b = View { first: b.first + column, ..b };
            let at = (row, column, width);
            // SAFETY: the assertion above covers the last element that any block reads of a and b.
            unsafe {
                match m - row {
                    1 => block::<L, 1>(&mut c, add, a, b, depth, at),
                    2 => block::<L, 2>(&mut c, add, a, b, depth, at),
                    3 => block::<L, 3>(&mut c, add, a, b, depth, at),
                    4 => block::<L, 4>(&mut c, add, a, b, depth, at),
                    5 => block::<L, 5>(&mut c, add, a, b, depth, at),
                    _ => block::<L, ROWS>(&mut c, add, a, b, depth, at),
                }
            }
        }
    }
}

/// `R` rows and up to `BLOCK` columns of a product, all sums in registers.
///
/// # Safety
/// R rows of a and `width` columns of b, for all of `depth`, lie inside their data.
#[inline(always)]
unsafe fn block<L: Lane, const R: usize>(
    c: &mut ViewMut<'_>,
    add: bool,
    a: View<'_>,
    b: View<'_>,
    depth: usize,
    (row, column, width): (usize, usize, usize),
) {
    let mut sums = [[0.0; BLOCK]; R];
    if width == BLOCK {
        for k in 0..depth {
            let start = b.first + k * b.row;
            // SAFETY: the caller's promise about b, with width = BLOCK; an array of f32 has the alignment of f32.
            let b_row = unsafe { &*b.data.as_ptr().add(start).cast::<[f32; BLOCK]>() };
            // SAFETY: the caller's promise about a.
            unsafe { multiply_add::<L, R>(&mut sums, a, k, b_row) };
        }
    } else {
        for k in 0..depth {
            let mut b_row = [0.0; BLOCK];
            b_row[..width].copy_from_slice(&b.data[b.first + k * b.row..][..width]);
            // SAFETY: the caller's promise about a.
            unsafe { multiply_add::<L, R>(&mut sums, a, k, &b_row) };
        }
    }
    // Plain loops: a closure that borrows the sums would force them out of the registers.
    for r in 0..R {
        let c = c.row(row + r, column, width);
        if let Ok(c) = <&mut [f32; BLOCK]>::try_from(&mut *c) {
            if add {
                for lane in 0..BLOCK {
                    c[lane] += sums[r][lane];
                }
            } else {
                *c = sums[r];
            }
        } else {
            for (lane, sum) in sums[r].into_iter().enumerate().take(width) {
                c[lane] = if add { c[lane] + sum } else { sum };
            }
        }
    }
}

/// Adds column k of a times `b_row`. A function and not a closure, because a closure may be compiled without the features of the
/// instruction set, and then each multiply-add is a library call.
///
/// # Safety
/// The first R rows of column k of a lie inside its data.
#[inline(always)]
unsafe fn multiply_add<L: Lane, const R: usize>(
    sums: &mut [[f32; BLOCK]; R],
    a: View<'_>,
    k: usize,
    b_row: &[f32; BLOCK],
) {
    for r in 0..R {
        // SAFETY: the caller's promise.
        let x = unsafe { *a.data.get_unchecked(a.first + r * a.row + k * a.column) };
        for lane in 0..BLOCK {
            sums[r][lane] = L::mul_add(x, b_row[lane], sums[r][lane]);
        }
    }
}

#[inline(always)]
fn transpose_body<L: Lane>(out: &mut Transposed, x: View<'_>, rows: usize, cols: usize, factor: f32) {
    for i in 0..rows {
        let row = &x.data[x.first + i * x.row..][..cols];
        for (out, &x) in out.as_chunks_mut::<TILE>().0.iter_mut().zip(row) {
            out[i] = factor * x;
        }
    }
    for out in &mut out.as_chunks_mut::<TILE>().0[..cols] {
        out[rows..rows.next_multiple_of(BLOCK)].fill(0.0);
    }
}

#[inline(always)]
fn softmax_body<L: Lane>(
    scores: &mut Scores,
    max: &mut [f32],
    sum: &mut [f32],
    rescale: &mut [f32],
    keys: usize,
    mask: TileMask,
) {
    let width = keys.next_multiple_of(BLOCK);
    for (i, scores) in scores.as_chunks_mut::<TILE>().0[..max.len()].iter_mut().enumerate() {
        let row = &mut scores[..width];
        row[keys..].fill(f32::NEG_INFINITY);
        let row_max = vmath::max(row);
        let new_max = if row_max > max[i] { row_max } else { max[i] };
        for s in row.iter_mut() {
            *s = vmath::exp::<L>(*s - new_max);
        }
        rescale[i] = vmath::exp::<L>(max[i] - new_max);
        sum[i] = L::mul_add(sum[i], rescale[i], vmath::sum(row));
        max[i] = new_max;
        if !mask.mask.is_none() {
            let mut keep = [0.0; TILE];
            mask.fill_row(&mut keep[..width], i);
            for (p, keep) in row.iter_mut().zip(&keep) {
                *p *= keep;
            }
        }
    }
}

#[inline(always)]
fn zero_body<L: Lane>(mut c: ViewMut<'_>) {
    for i in 0..c.rows {
        let cols = c.cols;
        c.row(i, 0, cols).fill(0.0);
    }
}

#[inline(always)]
fn rescale_body<L: Lane>(mut c: ViewMut<'_>, factors: &[f32]) {
    let cols = c.cols;
    for (i, &factor) in factors.iter().enumerate() {
        for c in c.row(i, 0, cols) {
            *c *= factor;
        }
    }
}

#[inline(always)]
fn score_gradients_body<L: Lane>(
    scores: &mut Scores,
    grads: &mut Scores,
    lse: &[f32],
    delta: &[f32],
    keys: usize,
    scale: f32,
    mask: TileMask,
) {
    let width = keys.next_multiple_of(BLOCK);
    let mut keep = [1.0; TILE];
    let rows = scores.as_chunks_mut::<TILE>().0.iter_mut().zip(grads.as_chunks_mut::<TILE>().0);
    for (i, ((scores, grads), (&lse, &delta))) in rows.zip(lse.iter().zip(delta)).enumerate() {
        if !mask.mask.is_none() {
            mask.fill_row(&mut keep[..width], i);
        }
        for ((s, g), &keep) in scores[..width].iter_mut().zip(&mut grads[..width]).zip(&keep) {
            let p = vmath::exp::<L>(*s - lse);
            *s = p * keep;
            *g = p * scale * L::mul_add(*g, keep, -delta);
        }
    }
}

#[inline(always)]
fn row_dots_body<L: Lane>(out: &mut [f32], x: View<'_>, y: View<'_>, cols: usize) {
    for (i, out) in out.iter_mut().enumerate() {
        let (x, y) = (&x.data[x.first + i * x.row..][..cols], &y.data[y.first + i * y.row..][..cols]);
        *out = vmath::dot::<L>(x, y);
    }
}
