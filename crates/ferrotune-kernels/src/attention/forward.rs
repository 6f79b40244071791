//! Forward of ragged attention: the online softmax over tiles of keys. Must not know backward, which has its own loops.

use std::ops::Range;

use super::tile::{self, BLOCK, Scores, TILE, Transposed, View, ViewMut};
use super::{AttentionDims, ENOUGH, MAX_HEAD_DIM, Unit, check};
use crate::isa::{self, Isa};
use crate::mask::Mask;
use crate::par::{self, DisjointMut};

/// Everything that units share.
struct Job<'a> {
    isa: Isa,
    ctx: DisjointMut<'a>,
    lse: DisjointMut<'a>,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    offsets: &'a [u32],
    dims: AttentionDims,
    tokens: usize,
    scale: f32,
    mask: Mask,
}

/// Writes ctx and saves lse; see the head of the module for shapes and formulas.
///
/// # Panics
/// If a slice has another length than its shape, the offsets do not ascend from 0, a sequence has more than 2¹⁷ tokens, or
/// head_dim is above [`MAX_HEAD_DIM`].
pub fn forward(
    ctx: &mut [f32],
    lse: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    offsets: &[u32],
    dims: AttentionDims,
    scale: f32,
    mask: Mask,
) {
    let matrices = [("ctx", ctx.len()), ("q", q.len()), ("k", k.len()), ("v", v.len())];
    let tokens = check("attention", &matrices, lse.len(), offsets, dims);
    let (ctx, lse) = (DisjointMut::new(ctx), DisjointMut::new(lse));
    let job = Job { isa: isa::current(), ctx, lse, q, k, v, offsets, dims, tokens, scale, mask };
    let units = (offsets.len() - 1) * dims.heads;
    par::for_each_run(units, ENOUGH, |unit| Unit::weight(unit, offsets, dims), |run| job.run(run));
}

impl Job<'_> {
    /// Computes some units, with one set of tiles on the stack.
    fn run(&self, units: Range<usize>) {
        let mut keys = [0.0; MAX_HEAD_DIM * TILE];
        let mut scores = [0.0; TILE * TILE];
        for index in units {
            let unit = Unit::new(index, self.offsets, self.dims);
            for start in unit.rows.clone().step_by(TILE) {
                let queries = start..unit.rows.end.min(start + TILE);
                self.queries(&unit, queries, &mut keys, &mut scores);
            }
        }
    }

    /// One tile of queries against all keys of the sequence.
    fn queries(&self, unit: &Unit, queries: Range<usize>, transposed: &mut Transposed, scores: &mut Scores) {
        let (d, width, m) = (self.dims.head_dim, self.dims.width(), queries.len());
        let view = |data, row: usize| View { data, first: row * width + unit.head * d, row: width, column: 1 };
        let ctx = || {
            let first = queries.start * width + unit.head * d;
            // SAFETY: these rows of this head belong to this unit alone, and it makes one view at a time.
            unsafe { ViewMut::new(self.ctx, first, width, m, d) }
        };
        let (mut max, mut sum, mut rescale) = ([f32::NEG_INFINITY; TILE], [0.0; TILE], [0.0; TILE]);
        for start in unit.rows.clone().step_by(TILE) {
            let n = TILE.min(unit.rows.end - start);
            let first_tile = start == unit.rows.start;
            tile::transpose(self.isa, transposed, view(self.k, start), n, d, self.scale);
            let keys = View { data: transposed, first: 0, row: TILE, column: 1 };
            let columns = n.next_multiple_of(BLOCK);
            let out = ViewMut::of_scores(scores, m, columns);
            tile::product(self.isa, out, false, view(self.q, queries.start), keys, d);
            let element = unit.mask_element(self.tokens, queries.start) + (start - unit.rows.start) as u64;
            let (max, sum, rescale) = (&mut max[..m], &mut sum[..m], &mut rescale[..m]);
            tile::softmax(self.isa, scores, max, sum, rescale, n, &self.mask, element);
            if !first_tile {
                tile::rescale_rows(self.isa, ctx(), rescale);
            }
            let probabilities = View { data: scores, first: 0, row: TILE, column: 1 };
            tile::product(self.isa, ctx(), !first_tile, probabilities, view(self.v, start), n);
        }
        let first = unit.head * self.tokens + queries.start;
        // SAFETY: these rows of this head belong to this unit alone.
        let lse = unsafe { self.lse.range(first..first + m) };
        for i in 0..m {
            lse[i] = max[i] + sum[i].ln();
            sum[i] = 1.0 / sum[i];
        }
        tile::rescale_rows(self.isa, ctx(), &sum[..m]);
    }
}
