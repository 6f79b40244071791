//! Forward of ragged attention: the online softmax over tiles of keys. Must not know backward, which has its own loops.

use std::ops::Range;

use super::tile::{self, BLOCK, Scores, TILE, Transposed, View, ViewMut};
use super::{ENOUGH, Input, MAX_HEAD_DIM, Place, Unit};
use crate::isa::{self, Isa};
use crate::par::{self, DisjointMut};

/// Everything that units share.
struct Job<'a> {
    isa: Isa,
    ctx: DisjointMut<'a>,
    lse: DisjointMut<'a>,
    input: Input<'a>,
    places: [Place; 3],
}

/// Writes `ctx [R, w]` and saves `lse [H, R]`; see the head of the module for shapes and formulas.
///
/// # Panics
/// If a slice has another length than its shape, the offsets do not ascend from 0, a sequence has more than 2¹⁷ tokens or more
/// queries than tokens, or head_dim is above [`MAX_HEAD_DIM`].
pub fn forward(ctx: &mut [f32], lse: &mut [f32], input: Input<'_>) {
    input.check("attention", ctx.len(), lse.len());
    let (ctx, lse) = (DisjointMut::new(ctx), DisjointMut::new(lse));
    let job = Job { isa: isa::current(), ctx, lse, input, places: input.places() };
    let units = (input.offsets.len() - 1) * input.dims.heads;
    par::for_each_run(units, ENOUGH, |unit| Unit::weight(unit, &input), |run| job.run(run));
}

impl Job<'_> {
    /// Computes some units, with one set of tiles on the stack.
    fn run(&self, units: Range<usize>) {
        let mut keys = [0.0; MAX_HEAD_DIM * TILE];
        let mut scores = [0.0; TILE * TILE];
        for index in units {
            let unit = Unit::new(index, &self.input);
            for start in unit.queries.clone().step_by(TILE) {
                let queries = start..unit.queries.end.min(start + TILE);
                self.queries(&unit, queries, &mut keys, &mut scores);
            }
        }
    }

    /// One tile of queries against all keys of the sequence.
    fn queries(&self, unit: &Unit, queries: Range<usize>, transposed: &mut Transposed, scores: &mut Scores) {
        let Input { sources, dims, scale, mask, .. } = self.input;
        let (d, width, m) = (dims.head_dim, dims.width(), queries.len());
        let [q, k, v] = self.places;
        let view = |place: Place, row| View::of_head(sources[place.source], place, row, unit.head * d);
        let ctx = || {
            let first = queries.start * width + unit.head * d;
            // SAFETY: these rows of this head belong to this unit alone, and it makes one view at a time.
            unsafe { ViewMut::new(self.ctx, first, width, m, d) }
        };
        let (mut max, mut sum, mut rescale) = ([f32::NEG_INFINITY; TILE], [0.0; TILE], [0.0; TILE]);
        for start in unit.rows.clone().step_by(TILE) {
            let n = TILE.min(unit.rows.end - start);
            let first_tile = start == unit.rows.start;
            tile::transpose(self.isa, transposed, view(k, start), n, d, scale);
            let keys = View { data: transposed, first: 0, row: TILE, column: 1 };
            let columns = n.next_multiple_of(BLOCK);
            let out = ViewMut::of_scores(scores, m, columns);
            tile::product(self.isa, out, false, view(q, queries.start), keys, d);
            let mask = unit.mask(mask, dims.heads, queries.start, start);
            let (max, sum, rescale) = (&mut max[..m], &mut sum[..m], &mut rescale[..m]);
            tile::softmax(self.isa, scores, max, sum, rescale, n, mask);
            if !first_tile {
                tile::rescale_rows(self.isa, ctx(), rescale);
            }
            let probabilities = View { data: scores, first: 0, row: TILE, column: 1 };
            tile::product(self.isa, ctx(), !first_tile, probabilities, view(v, start), n);
        }
        let first = unit.head * self.input.queries() + queries.start;
        // SAFETY: these rows of this head belong to this unit alone.
        let lse = unsafe { self.lse.range(first..first + m) };
        for i in 0..m {
            lse[i] = max[i] + sum[i].ln();
            sum[i] = 1.0 / sum[i];
        }
        tile::rescale_rows(self.isa, ctx(), &sum[..m]);
    }
}
