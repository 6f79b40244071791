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

/// The tiles that a task keeps on its stack.
struct Tiles {
    keys: Transposed,
    scores: Scores,
}

impl Tiles {
    fn new() -> Self {
        Tiles { keys: Aligned([0.0; MAX_HEAD_DIM * TILE]), scores: Aligned([0.0; TILE * TILE]) }
    }
}

impl Job<'_> {
    /// Computes some units.
    fn run(&self, units: Range<usize>) {
        let unit = |index| Unit::new(index, &self.input);
        if units.len() == 1 {
            // Perhaps a long one, whose tiles of queries are independent.
            let unit = unit(units.start);
            return par::for_each_chunk(unit.queries.len(), TILE, |_, part| {
                let queries = unit.queries.start + part.start..unit.queries.start + part.end;
                self.queries(&unit, queries, None, &mut Tiles::new());
            });
        }
        let mut tiles = Tiles::new();
        for index in units.clone() {
            let (this, next) = (unit(index), (index + 1 < units.end).then(|| unit(index + 1)));
            for start in this.queries.clone().step_by(TILE) {
                let queries = start..this.queries.end.min(start + TILE);
                let next = next.as_ref().filter(|_| queries.end == this.queries.end);
                self.queries(&this, queries, next, &mut tiles);
            }
        }
    }

    /// One tile of queries against all keys of the sequence that some of them see. Meanwhile, what `next` needs is fetched.
    fn queries(&self, unit: &Unit, queries: Range<usize>, next: Option<&Unit>, tiles: &mut Tiles) {
        let Input { sources, dims, scale, mask, window, .. } = self.input;
        let (d, width, m) = (dims.head_dim, dims.width(), queries.len());
        let [q, k, v] = self.places;
        let view = |place: Place, unit: &Unit, row| View::of_head(sources[place.source], place, row, unit.head * d);
        let ctx = || {
            let first = queries.start * width + unit.head * d;
            // SAFETY: these rows of this head belong to this task alone, and it makes one view at a time.
            unsafe { ViewMut::new(self.ctx, first, width, m, d) }
        };
        let (mut max, mut sum) = (Aligned([f32::NEG_INFINITY; TILE]), Aligned([0.0; TILE]));
        let mut rescale = Aligned([0.0; TILE]);
        let seen = unit.keys_of(&queries, window);
        for start in seen.clone().step_by(TILE) {
            let n = TILE.min(seen.end - start);
            let (is_first, is_last) = (start == seen.start, start + n == seen.end);
            let next = next.filter(|_| is_last);
            let ahead = |place, rows: fn(&Unit) -> &Range<usize>| {
                if let Some(next) = next {
                    view(place, next, rows(next).start).prefetch(rows(next).len(), d);
                }
            };
            let columns = tile::columns(n);
            product::transpose(self.isa, &mut tiles.keys, view(k, unit, start), n, d, scale);
            ahead(k, |next| &next.rows);
            let out = ViewMut::of_scores(&mut tiles.scores, m, columns);
            let keys = View::of_tile(&tiles.keys, columns);
            product::product(self.isa, out, Finish::SET, view(q, unit, queries.start), keys, d);
            ahead(v, |next| &next.rows);
            unit.place(self.isa, &self.input, &queries, &(start..start + n), &mut tiles.scores);
            let mask = unit.mask(mask, dims.heads, queries.start, start);
            scores::softmax(self.isa, &mut tiles.scores, &mut max, &mut sum, &mut rescale, m, n, mask);
            ahead(q, |next| &next.queries);
            if is_last {
                scores::finish(self.isa, &mut max, &mut sum);
            }
            let finish =
                Finish { keep: (!is_first).then_some(&rescale), factors: if is_last { &sum } else { product::ONES } };
            product::product(self.isa, ctx(), finish, View::of_tile(&tiles.scores, columns), view(v, unit, start), n);
        }
        let first = unit.head * self.input.queries() + queries.start;
        // SAFETY: these rows of this head belong to this task alone.
        unsafe { self.lse.range(first..first + m) }.copy_from_slice(&max.0[..m]);
    }
}
