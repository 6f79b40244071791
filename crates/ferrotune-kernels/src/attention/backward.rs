//! Backward of ragged attention: tiles of probabilities are computed again from the saved lse. Must not know forward's loops.
//!
//! With `g_ij = dctx_i·v_j` and `delta_i = dctx_i·ctx_i = Σ_j z_ij·p_ij·g_ij`:
//!
//! ```text
//! ds_ij = p_ij·(z_ij·g_ij - delta_i)     dq_i = scale·Σ_j ds_ij·k_j     dk_j = scale·Σ_i ds_ij·q_i     dv_j = Σ_i z_ij·p_ij·dctx_i
//! ```

use std::ops::Range;

use super::tile::{self, BLOCK, Scores, TILE, Transposed, View, ViewMut};
use super::{AttentionDims, AttentionGrads, ENOUGH, MAX_HEAD_DIM, Unit, check};
use crate::isa::{self, Isa};
use crate::mask::Mask;
use crate::par::{self, DisjointMut};

/// A wanted gradient and its beta.
type Shared<'a> = Option<(DisjointMut<'a>, f32)>;

/// Everything that units share.
struct Job<'a> {
    isa: Isa,
    dq: Shared<'a>,
    dk: Shared<'a>,
    dv: Shared<'a>,
    delta: DisjointMut<'a>,
    dctx: &'a [f32],
    ctx: &'a [f32],
    lse: &'a [f32],
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    offsets: &'a [u32],
    dims: AttentionDims,
    tokens: usize,
    scale: f32,
    mask: Mask,
}

/// The tiles that a task keeps on its stack.
struct Tiles {
    keys: Transposed,
    values: Transposed,
    scores: Scores,
    grads: Scores,
}

/// Numbers of scratch that [`backward`] needs: delta, `[H, T]`.
pub fn backward_scratch(tokens: usize, dims: AttentionDims) -> usize {
    tokens * dims.heads
}

/// Gradients from dctx and from what forward read and wrote; see the head of the module for shapes and formulas.
///
/// # Panics
/// As forward, or if `scratch` is shorter than [`backward_scratch`].
pub fn backward(
    grads: AttentionGrads<'_>,
    dctx: &[f32],
    ctx: &[f32],
    lse: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    offsets: &[u32],
    dims: AttentionDims,
    scale: f32,
    mask: Mask,
    scratch: &mut [f32],
) {
    let op = "attention backward";
    let inputs = [("dctx", dctx.len()), ("ctx", ctx.len()), ("q", q.len()), ("k", k.len()), ("v", v.len())];
    let tokens = check(op, &inputs, lse.len(), offsets, dims);
    let AttentionGrads { dq, dk, dv } = grads;
    for (name, target) in [("dq", &dq), ("dk", &dk), ("dv", &dv)] {
        let len = target.as_ref().map_or(q.len(), |(memory, _)| memory.len());
        assert_eq!(len, q.len(), "{op}: {name}: expected {} elements like q, got {len}", q.len());
    }
    if dq.is_none() && dk.is_none() && dv.is_none() {
        return;
    }
    let needed = backward_scratch(tokens, dims);
    assert!(scratch.len() >= needed, "{op}: scratch: expected {needed} elements, got {}", scratch.len());
    let [dq, dk, dv] = [dq, dk, dv].map(|target| target.map(|(memory, beta)| (DisjointMut::new(memory), beta)));
    let (isa, delta) = (isa::current(), DisjointMut::new(scratch));
    let job = Job { isa, dq, dk, dv, delta, dctx, ctx, lse, q, k, v, offsets, dims, tokens, scale, mask };
    let units = (offsets.len() - 1) * dims.heads;
    par::for_each_run(units, ENOUGH, |unit| 5 * Unit::weight(unit, offsets, dims) / 2, |run| job.run(run));
}

impl Job<'_> {
    /// Computes some units, with one set of tiles on the stack.
    fn run(&self, units: Range<usize>) {
        let mut tiles = Tiles {
            keys: [0.0; MAX_HEAD_DIM * TILE],
            values: [0.0; MAX_HEAD_DIM * TILE],
            scores: [0.0; TILE * TILE],
            grads: [0.0; TILE * TILE],
        };
        for index in units {
            self.unit(&Unit::new(index, self.offsets, self.dims), &mut tiles);
        }
    }

    fn unit(&self, unit: &Unit, tiles: &mut Tiles) {
        let d = self.dims.head_dim;
        let first = unit.head * self.tokens + unit.rows.start;
        // SAFETY: these rows of this head belong to this unit alone, and it makes no other range of delta.
        let delta = unsafe { self.delta.range(first..first + unit.rows.len()) };
        let row = unit.rows.start;
        tile::row_dots(self.isa, delta, self.view(self.dctx, unit, row), self.view(self.ctx, unit, row), d);
        for start in unit.rows.clone().step_by(TILE) {
            let keys = start..unit.rows.end.min(start + TILE);
            tile::transpose(self.isa, &mut tiles.keys, self.view(self.k, unit, start), keys.len(), d, self.scale);
            tile::transpose(self.isa, &mut tiles.values, self.view(self.v, unit, start), keys.len(), d, 1.0);
            for start in unit.rows.clone().step_by(TILE) {
                let queries = start..unit.rows.end.min(start + TILE);
                let delta = &delta[start - unit.rows.start..][..queries.len()];
                self.tile(unit, queries, keys.clone(), delta, tiles);
            }
        }
    }

    /// What one tile of queries and keys adds to the gradients.
    fn tile(&self, unit: &Unit, queries: Range<usize>, keys: Range<usize>, delta: &[f32], tiles: &mut Tiles) {
        let (d, m, n) = (self.dims.head_dim, queries.len(), keys.len());
        let columns = n.next_multiple_of(BLOCK);
        let transposed = |data| View { data, first: 0, row: TILE, column: 1 };
        let queries_of = |data| self.view(data, unit, queries.start);
        let scores = ViewMut::of_scores(&mut tiles.scores, m, columns);
        tile::product(self.isa, scores, false, queries_of(self.q), transposed(&tiles.keys), d);
        let grads = ViewMut::of_scores(&mut tiles.grads, m, columns);
        tile::product(self.isa, grads, false, queries_of(self.dctx), transposed(&tiles.values), d);
        let first = unit.head * self.tokens + queries.start;
        let lse = &self.lse[first..first + m];
        let element = unit.mask_element(self.tokens, queries.start) + (keys.start - unit.rows.start) as u64;
        let (scores, grads) = (&mut tiles.scores, &mut tiles.grads);
        tile::score_gradients(self.isa, scores, grads, lse, delta, n, self.scale, &self.mask, element);

        let first_queries = queries.start == unit.rows.start;
        let first_keys = keys.start == unit.rows.start;
        let by_query = |data| View { data, first: 0, row: TILE, column: 1 };
        let by_key = |data| View { data, first: 0, row: 1, column: TILE };
        if let Some((c, add)) = self.target(&self.dv, unit, &keys, first_queries) {
            tile::product(self.isa, c, add, by_key(scores), queries_of(self.dctx), m);
        }
        if let Some((c, add)) = self.target(&self.dk, unit, &keys, first_queries) {
            tile::product(self.isa, c, add, by_key(grads), queries_of(self.q), m);
        }
        if let Some((c, add)) = self.target(&self.dq, unit, &queries, first_keys) {
            tile::product(self.isa, c, add, by_query(grads), self.view(self.k, unit, keys.start), n);
        }
    }

    fn view<'v>(&self, data: &'v [f32], unit: &Unit, row: usize) -> View<'v> {
        let width = self.dims.width();
        View { data, first: row * width + unit.head * self.dims.head_dim, row: width, column: 1 }
    }

    /// Rows of a wanted gradient, and whether to add to them: always after the first tile, before it as beta says.
    fn target<'a>(
        &self,
        shared: &Shared<'a>,
        unit: &Unit,
        rows: &Range<usize>,
        first: bool,
    ) -> Option<(ViewMut<'a>, bool)> {
        let (memory, beta) = (*shared)?;
        let (d, width) = (self.dims.head_dim, self.dims.width());
        // SAFETY: these rows of this head belong to this unit alone, and it makes one view at a time.
        let view = unsafe { ViewMut::new(memory, rows.start * width + unit.head * d, width, rows.len(), d) };
        Some((view, !first || beta != 0.0))
    }
}
