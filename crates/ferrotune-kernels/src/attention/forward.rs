//! Forward of ragged attention: the online softmax over tiles of keys. Must not know backward, which has its own loops.

use std::ops::Range;

use super::product::{self, Finish};
use super::tile::{self, Aligned, Scores, TILE, Transposed, View, ViewMut};
use super::{ENOUGH, Input, MAX_HEAD_DIM, Place, Unit, scores};
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
        let mut keys = Aligned([0.0; MAX_HEAD_DIM * TILE]);
        let mut scores = Aligned([0.0; TILE * TILE]);
        for index in units.clone() {
            let unit = Unit::new(index, &self.input);
            let next = (index + 1 < units.end).then(|| Unit::new(index + 1, &self.input));
            for start in unit.queries.clone().step_by(TILE) {
                let queries = start..unit.queries.end.min(start + TILE);
                self.queries(&unit, queries, next.as_ref(), &mut keys, &mut scores);
            }
        }
    }

    /// One tile of queries against all keys of the sequence.
    fn queries(
        &self,
        unit: &Unit,
        queries: Range<usize>,
        next: Option<&Unit>,
        transposed: &mut Transposed,
        scores: &mut Scores,
    ) {
        let Input { sources, dims, scale, mask, .. } = self.input;
        let (d, width, m) = (dims.head_dim, dims.width(), queries.len());
        let [q, k, v] = self.places;
        let view = |place: Place, row| View::of_head(sources[place.source], place, row, unit.head * d);
        let ahead = |place: Place, row: fn(&Unit) -> Range<usize>| {
            if let Some(next) = next {
                let rows = row(next);
                View::of_head(sources[place.source], place, rows.start, next.head * d).prefetch(rows.len(), d);
            }
        };
        let (rows_of, queries_of): (fn(&Unit) -> _, fn(&Unit) -> _) = (|u| u.rows.clone(), |u| u.queries.clone());
        let ctx = || {
            let first = queries.start * width + unit.head * d;
            // SAFETY: these rows of this head belong to this unit alone, and it makes one view at a time.
            unsafe { ViewMut::new(self.ctx, first, width, m, d) }
        };
        let (mut max, mut sum) = (Aligned([f32::NEG_INFINITY; TILE]), Aligned([0.0; TILE]));
        let (mut rescale, mut inverse) = (Aligned([0.0; TILE]), Aligned([0.0; TILE]));
        for start in unit.rows.clone().step_by(TILE) {
            let n = TILE.min(unit.rows.end - start);
            let (is_first, is_last) = (start == unit.rows.start, start + n == unit.rows.end);
            let columns = tile::columns(n);
            product::transpose(self.isa, transposed, view(k, start), n, d, scale);
            ahead(k, rows_of);
            let out = ViewMut::of_scores(scores, m, columns);
            let keys = View::of_tile(transposed, columns);
            product::product(self.isa, out, Finish::SET, view(q, queries.start), keys, d);
            ahead(v, rows_of);
            let mask = unit.mask(mask, dims.heads, queries.start, start);
            scores::softmax(self.isa, scores, &mut max, &mut sum, &mut rescale, m, n, mask);
            ahead(q, queries_of);
            if is_last {
                for i in 0..m {
                    inverse.0[i] = 1.0 / sum.0[i];
                }
            }
            let finish = Finish {
                keep: (!is_first).then_some(&rescale),
                factors: if is_last { &inverse } else { product::ONES },
            };
            product::product(self.isa, ctx(), finish, View::of_tile(scores, columns), view(v, start), n);
        }
        let first = unit.head * self.input.queries() + queries.start;
        // SAFETY: these rows of this head belong to this unit alone.
        let lse = unsafe { self.lse.range(first..first + m) };
        for i in 0..m {
            lse[i] = max.0[i] + sum.0[i].ln();
        }
    }
}
