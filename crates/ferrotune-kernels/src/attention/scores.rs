//! From the scores of a tile to its probabilities, and from gradients of those to gradients of the scores. Must not know where they came
//! from.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use super::tile::{Scores, TILE, View};
use crate::isa::{Lane, dispatch};
use crate::mask::Mask;
use crate::vmath::{self, LANES};

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
            self.mask.fill(keep.as_flattened_mut(), self.first + i as u64 * self.row);
        }
        keep
    }
}

/// A row of a tile as vectors. Loops over such arrays have lengths that the compiler knows, so nothing is left to scalar code.
type Row<const NV: usize> = [[f32; LANES]; NV];

dispatch! {
    /// One step of the online softmax on `keys` columns of scores, which become `exp(s - max)`, masked. Updates each row's maximum
    /// and its sum of unmasked numbers, and tells by what earlier results of the row must be multiplied.
    pub(super) fn softmax(
        scores: &mut Scores, max: &mut [f32], sum: &mut [f32], rescale: &mut [f32], keys: usize, mask: TileMask,
    ) = softmax_body;
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
fn softmax_body<L: Lane>(
    scores: &mut Scores,
    max: &mut [f32],
    sum: &mut [f32],
    rescale: &mut [f32],
    keys: usize,
    mask: TileMask,
) {
    by_vectors!(keys, softmax_rows::<L>(scores, max, sum, rescale, keys, mask));
}

#[inline(always)]
fn softmax_rows<L: Lane, const NV: usize>(
    scores: &mut Scores,
    max: &mut [f32],
    sum: &mut [f32],
    rescale: &mut [f32],
    keys: usize,
    mask: TileMask,
) {
    let rows = scores.as_chunks_mut::<LANES>().0.as_chunks_mut::<NV>().0;
    let last = keys - (NV - 1) * LANES;
    for (i, row) in rows[..max.len()].iter_mut().enumerate() {
        for lane in 0..LANES {
            row[NV - 1][lane] = if lane < last { row[NV - 1][lane] } else { f32::NEG_INFINITY };
        }
        let row_max = vmath::max(row.as_flattened());
        let new_max = if row_max > max[i] { row_max } else { max[i] };
        for part in row.iter_mut() {
            for s in part {
                *s = vmath::exp::<L>(*s - new_max);
            }
        }
        rescale[i] = vmath::exp::<L>(max[i] - new_max);
        sum[i] = L::mul_add(sum[i], rescale[i], vmath::sum(row.as_flattened()));
        max[i] = new_max;
        if !mask.mask.is_none() {
            let keep = mask.row::<NV>(i);
            for (p, keep) in row.as_flattened_mut().iter_mut().zip(keep.as_flattened()) {
                *p *= keep;
            }
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
    let scores = scores.as_chunks_mut::<LANES>().0.as_chunks_mut::<NV>().0;
    let grads = grads.as_chunks_mut::<LANES>().0.as_chunks_mut::<NV>().0;
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
fn row_dots_body<L: Lane>(out: &mut [f32], x: View<'_>, y: View<'_>, cols: usize) {
    for (i, out) in out.iter_mut().enumerate() {
        let (x, y) = (&x.data[x.first + i * x.row..][..cols], &y.data[y.first + i * y.row..][..cols]);
        *out = vmath::dot::<L>(x, y);
    }
}
