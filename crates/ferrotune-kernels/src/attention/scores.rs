//! From the scores of a tile to its probabilities, and from gradients of those to gradients of the scores. Must not know where they came
//! from.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use super::tile::{self, Factors, Scores, TILE, View};
use crate::isa::{Lane, dispatch};
use crate::mask::Mask;
use crate::vector::{LANES, Vector, Wide, fold_max, fold_sums};
use crate::vmath;

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
    fn row<const NV: usize>(&self, i: usize) -> Row<NV> {
        let mut keep = [[1.0; LANES]; NV];
        if !self.mask.is_none() {
            self.mask.fill_vectors(&mut keep, self.first + i as u64 * self.row);
        }
        keep
    }
}

/// A score whose probability is 0 next to any other: low, but a number, because the maximum of a row may be one of these for a while.
const UNSEEN: f32 = -1e30;

/// A tile of which a window leaves a part.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// The first query, counted within its sequence.
    pub(super) query: usize,
    /// The first key.
    pub(super) key: usize,
    /// Tokens that a query sees to either side.
    pub(super) window: usize,
}

impl Cut {
    /// Takes the keys that a query does not see out of its scores.
    pub(super) fn apply(&self, scores: &mut Scores, queries: usize, keys: usize) {
        for (i, row) in scores.0.chunks_exact_mut(tile::columns(keys)).take(queries).enumerate() {
            let query = self.query + i;
            let column = |key: usize| key.saturating_sub(self.key).min(keys);
            let (from, to) = (column(query.saturating_sub(self.window)), column(query + self.window + 1));
            row[..from].fill(UNSEEN);
            row[to..keys].fill(UNSEEN);
        }
    }
}

/// A row of a tile as vectors. Loops over such arrays have lengths that the compiler knows, so nothing is left to scalar code.
type Row<const NV: usize> = [[f32; LANES]; NV];

dispatch! {
    /// One step of the online softmax on `keys` columns of scores, which become `exp(s - max)`, masked. Updates each row's maximum
    /// and its sum of unmasked numbers, and tells by what earlier results of the row must be multiplied.
    pub(super) fn softmax(
        scores: &mut Scores, max: &mut Factors, sum: &mut Factors, rescale: &mut Factors, queries: usize, keys: usize, mask: TileMask,
    ) = softmax_body;
    /// From each row's maximum and sum makes its lse and, in place of the sum, the inverse of it.
    pub(super) fn finish(max: &mut Factors, sum: &mut Factors) = finish_body;
    /// From scores and from `dctx·vᵀ` in `grads` makes `z·p` and `scale·p·(z·(dctx·vᵀ) - delta)`.
    pub(super) fn score_gradients(
        scores: &mut Scores, grads: &mut Scores, lse: &[f32], delta: &[f32], keys: usize, scale: f32, mask: TileMask,
    ) = score_gradients_body;
    /// `out[i] = x[i]·y[i]` over rows of `cols`; both with column 1.
    pub(super) fn row_dots(out: &mut [f32], x: View<'_>, y: View<'_>, cols: usize) = row_dots_body;
}

/// Calls `$body::<L, NV>` with the number of vectors of `$keys` keys.
macro_rules! by_vectors {
    ($keys:expr, $body:ident::<$lane:ident>($($arg:expr),* $(,)?)) => {
        match $keys.div_ceil(LANES) {
            0 => {}
            1 => $body::<$lane, 1>($($arg),*),
            2 => $body::<$lane, 2>($($arg),*),
            3 => $body::<$lane, 3>($($arg),*),
            4 => $body::<$lane, 4>($($arg),*),
            _ => unreachable!("a tile of more than {TILE} keys"),
        }
    };
}

#[inline(always)]
fn softmax_body<L: Wide>(
    scores: &mut Scores,
    max: &mut Factors,
    sum: &mut Factors,
    rescale: &mut Factors,
    queries: usize,
    keys: usize,
    mask: TileMask,
) {
    by_vectors!(keys, softmax_rows::<L>(scores, [max, sum, rescale], queries, keys, mask));
}

#[inline(always)]
fn softmax_rows<L: Wide, const NV: usize>(
    scores: &mut Scores,
    [max, sum, rescale]: [&mut Factors; 3],
    queries: usize,
    keys: usize,
    mask: TileMask,
) {
    let rows = scores.0.as_chunks_mut::<LANES>().0.as_chunks_mut::<NV>().0;
    let [max, sum, rescale] = [max, sum, rescale].map(|factors| factors.0.as_chunks_mut::<LANES>().0);
    let last = keys - (NV - 1) * LANES;
    // What lies beyond the keys goes the same way as they do, but into no sum. It must be no -∞: exp would go below the normal numbers,
    // which costs the processor tens of cycles a vector.
    let groups = rows[..queries].chunks_mut(LANES).zip(max).zip(sum.iter_mut().zip(rescale)).enumerate();
    // Sixteen rows at a time, so that what is one number a row is a vector as well.
    for (group, ((rows, max), (sum, rescale))) in groups {
        let row_max = fold_rows::<L, NV>(rows, last, f32::NEG_INFINITY, L::Vector::max, fold_max);
        for lane in 0..LANES {
            let new_max = if row_max[lane] > max[lane] { row_max[lane] } else { max[lane] };
            rescale[lane] = vmath::exp::<L>(max[lane] - new_max);
            max[lane] = new_max;
        }
        for (row, &max) in rows.iter_mut().zip(&*max) {
            for part in row.iter_mut() {
                for s in part {
                    *s = vmath::exp::<L>(*s - max);
                }
            }
        }
        let row_sum = fold_rows::<L, NV>(rows, last, 0.0, L::Vector::add, fold_sums);
        for lane in 0..LANES {
            sum[lane] = L::mul_add(sum[lane], rescale[lane], row_sum[lane]);
        }
        if !mask.mask.is_none() {
            for (i, row) in rows.iter_mut().enumerate() {
                let keep = mask.row::<NV>(group * LANES + i);
                for (part, keep) in row.iter_mut().zip(&keep) {
                    for lane in 0..LANES {
                        part[lane] *= keep[lane];
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn finish_body<L: Lane>(max: &mut Factors, sum: &mut Factors) {
    for (max, sum) in max.0.iter_mut().zip(&mut sum.0) {
        *max += vmath::ln::<L>(*sum);
        *sum = 1.0 / *sum;
    }
}

/// Joins the vectors of each of up to 16 rows, from `start` on, and then the elements of what they give. Of a row's last vector only the
/// first `last` elements count; lanes without a row repeat the last one.
#[inline(always)]
fn fold_rows<L: Wide, const NV: usize>(
    rows: &[Row<NV>],
    last: usize,
    start: f32,
    join: unsafe fn(L::Vector, L::Vector) -> L::Vector,
    fold: unsafe fn([L::Vector; LANES]) -> L::Vector,
) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    // SAFETY: only bodies of `dispatch!` call this, which enables the set of the lane; the pointers are those of arrays of 16.
    unsafe {
        let start = L::Vector::splat(start);
        let mut joined = [start; LANES];
        for r in 0..LANES {
            let row = &rows[r.min(rows.len() - 1)];
            joined[r] = L::Vector::load(row[NV - 1].as_ptr()).first_then(last, start);
            for part in &row[..NV - 1] {
                joined[r] = join(joined[r], L::Vector::load(part.as_ptr()));
            }
        }
        fold(joined).store(out.as_mut_ptr());
    }
    out
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
    by_vectors!(keys, score_gradient_rows::<L>(scores, grads, lse, delta, scale, mask));
}

#[inline(always)]
fn score_gradient_rows<L: Lane, const NV: usize>(
    scores: &mut Scores,
    grads: &mut Scores,
    lse: &[f32],
    delta: &[f32],
    scale: f32,
    mask: TileMask,
) {
    let scores = scores.0.as_chunks_mut::<LANES>().0.as_chunks_mut::<NV>().0;
    let grads = grads.0.as_chunks_mut::<LANES>().0.as_chunks_mut::<NV>().0;
    for (i, ((scores, grads), (&lse, &delta))) in scores.iter_mut().zip(grads).zip(lse.iter().zip(delta)).enumerate() {
        let keep = mask.row::<NV>(i);
        for part in 0..NV {
            for lane in 0..LANES {
                let (g, keep) = (grads[part][lane], keep[part][lane]);
                let p = vmath::exp::<L>(scores[part][lane] - lse);
                scores[part][lane] = p * keep;
                grads[part][lane] = p * scale * L::mul_add(g, keep, -delta);
            }
        }
    }
}

#[inline(always)]
fn row_dots_body<L: Wide>(out: &mut [f32], x: View<'_>, y: View<'_>, cols: usize) {
    x.check(out.len(), cols);
    y.check(out.len(), cols);
    assert!(x.column == 1 && y.column == 1);
    for (group, out) in out.chunks_mut(LANES).enumerate() {
        // SAFETY: rows up to the last of out hold `cols` elements (checked above); `out` takes as many numbers as it has.
        unsafe {
            let mut sums = [L::Vector::zero(); LANES];
            for r in 0..LANES {
                let row = group * LANES + r.min(out.len() - 1);
                for c in (0..cols).step_by(LANES) {
                    let (x, y) = (x.pointer(row, c), y.pointer(row, c));
                    let (x, y) = if cols - c >= LANES {
                        (L::Vector::load(x), L::Vector::load(y))
                    } else {
                        (L::Vector::load_first(x, cols - c), L::Vector::load_first(y, cols - c))
                    };
                    sums[r] = sums[r].add_product(x, y);
                }
            }
            fold_sums(sums).store_first(out.as_mut_ptr(), out.len());
        }
    }
}
