//! Backward of ragged attention: tiles of probabilities are computed again from the saved lse. Must not know forward's loops.
//!
//! With `g_ij = dctx_i·v_j` and `delta_i = dctx_i·ctx_i = Σ_j z_ij·p_ij·g_ij`:
//!
//! ```text
//! ds_ij = p_ij·(z_ij·g_ij - delta_i)     dq_i = scale·Σ_j ds_ij·k_j     dk_j = scale·Σ_i ds_ij·q_i     dv_j = Σ_i z_ij·p_ij·dctx_i
//! ```

use std::ops::Range;

use super::product::{self, Finish};
use super::relative::{self, Corner};
use super::tile::{self, Aligned, Scores, TILE, Transposed, View, ViewMut};
use super::{AttentionDims, ENOUGH, Input, MAX_HEAD_DIM, Place, Relative, Unit, scores};
use crate::isa::{self, Isa};
use crate::par::{self, DisjointMut};
use crate::target::Target;

/// A wanted gradient and its beta.
type Shared<'a> = Option<(DisjointMut<'a>, f32)>;

/// Everything that units share.
struct Job<'a> {
    isa: Isa,
    /// One for each source.
    grads: [Shared<'a>; 3],
    /// Of what distances add: by queries, by keys.
    relative: [Shared<'a>; 2],
    delta: DisjointMut<'a>,
    dctx: &'a [f32],
    ctx: &'a [f32],
    lse: &'a [f32],
    input: Input<'a>,
    places: [Place; 3],
}

/// The tiles that a task keeps on its stack.
struct Tiles {
    keys: Transposed,
    values: Transposed,
    scores: Scores,
    grads: Scores,
}

/// Numbers of scratch that [`backward`] needs for R queries: delta, `[H, R]`.
pub fn backward_scratch(queries: usize, dims: AttentionDims) -> usize {
    queries * dims.heads
}

/// Gradients by the sources of `input` and by what distances add, one target for each, from dctx and from what forward read and wrote; see the head of
/// the module for shapes and formulas.
///
/// # Panics
/// As forward, or if a target differs in length from its source, or if `scratch` is shorter than [`backward_scratch`].
pub fn backward(
    grads: &mut [Target<'_>],
    dctx: &[f32],
    ctx: &[f32],
    lse: &[f32],
    input: Input<'_>,
    scratch: &mut [f32],
) {
    let op = "attention backward";
    input.check(op, ctx.len(), lse.len());
    assert_eq!(dctx.len(), ctx.len(), "{op}: dctx: expected {} elements, got {}", ctx.len(), dctx.len());
    let wanted = input.source_lens().chain(input.relative_lens());
    assert_eq!(grads.len(), wanted.count(), "{op}: grads: expected one for each source, and for what distances add");
    for (source, (target, want)) in grads.iter().zip(input.source_lens().chain(input.relative_lens())).enumerate() {
        let len = target.as_ref().map_or(want, |(memory, _)| memory.len());
        assert_eq!(len, want, "{op}: gradient {source}: expected {want} elements like its source, got {len}");
    }
    if grads.iter().all(Option::is_none) {
        return;
    }
    let needed = backward_scratch(input.queries(), input.dims);
    assert!(scratch.len() >= needed, "{op}: scratch: expected {needed} elements, got {}", scratch.len());
    let mut shared =
        grads.iter_mut().map(|target| target.as_mut().map(|(memory, beta)| (DisjointMut::new(memory), *beta)));
    let mut take = |is_there: bool| if is_there { shared.next().flatten() } else { None };
    let grads = std::array::from_fn(|source| take(source < input.sources.len()));
    let relative = std::array::from_fn(|which| take(which < input.relative_lens().count()));
    let (isa, delta) = (isa::current(), DisjointMut::new(scratch));
    let job = Job { isa, grads, relative, delta, dctx, ctx, lse, input, places: input.places() };
    let units = (input.offsets.len() - 1) * input.dims.heads;
    par::for_each_run(units, ENOUGH, |unit| 5 * Unit::weight(unit, &input) / 2, |run| job.run(run));
}

impl Job<'_> {
    /// Computes some units, with one set of tiles on the stack.
    fn run(&self, units: Range<usize>) {
        let mut tiles = Tiles {
            keys: Aligned([0.0; MAX_HEAD_DIM * TILE]),
            values: Aligned([0.0; MAX_HEAD_DIM * TILE]),
            scores: Aligned([0.0; TILE * TILE]),
            grads: Aligned([0.0; TILE * TILE]),
        };
        for index in units.clone() {
            let next = (index + 1 < units.end).then(|| Unit::new(index + 1, &self.input));
            self.unit(&Unit::new(index, &self.input), next.as_ref(), &mut tiles);
        }
    }

    fn unit(&self, unit: &Unit, next: Option<&Unit>, tiles: &mut Tiles) {
        let Input { dims, scale, window, .. } = self.input;
        let d = dims.head_dim;
        let [_, k, v] = self.places;
        self.ahead(next, 0);
        let Unit { rows, queries, head } = unit.clone();
        let first = head * self.input.queries() + queries.start;
        // SAFETY: these rows of this head belong to this unit alone, and it makes no other range of delta.
        let delta = unsafe { self.delta.range(first..first + queries.len()) };
        for (shared, rows) in self.relative.iter().zip([&queries, &rows]) {
            if let (Some((memory, 0.0)), Some(relative)) = (*shared, self.input.relative) {
                relative::clear(memory, rows, head, dims.heads, relative.buckets.count);
            }
        }
        let by_query = |data| self.by_query(data, unit, queries.start);
        scores::row_dots(self.isa, delta, by_query(self.dctx), by_query(self.ctx), d);
        for start in rows.clone().step_by(TILE) {
            let keys = start..rows.end.min(start + TILE);
            let seeing = unit.queries_of(&keys, window);
            if seeing.is_empty() {
                for place in [k, v] {
                    if let Some((c, Finish { keep: None, .. })) = self.target(place, unit, &keys, true) {
                        c.zero();
                    }
                }
                continue;
            }
            product::transpose(self.isa, &mut tiles.keys, self.source(k, unit, start), keys.len(), d, scale);
            product::transpose(self.isa, &mut tiles.values, self.source(v, unit, start), keys.len(), d, 1.0);
            for start in seeing.step_by(TILE) {
                let some = start..queries.end.min(start + TILE);
                let delta = &delta[start - queries.start..][..some.len()];
                let next = next.filter(|_| keys.end == rows.end && some.end == queries.end);
                self.tile(unit, some, keys.clone(), delta, next, tiles);
            }
        }
    }

    /// What one tile of queries and keys adds to the gradients.
    fn tile(
        &self,
        unit: &Unit,
        queries: Range<usize>,
        keys: Range<usize>,
        delta: &[f32],
        next: Option<&Unit>,
        tiles: &mut Tiles,
    ) {
        let Input { dims, scale, mask, window, relative, .. } = self.input;
        let (d, m, n) = (dims.head_dim, queries.len(), keys.len());
        let [q, k, v] = self.places;
        let columns = tile::columns(n);
        let dctx = self.by_query(self.dctx, unit, queries.start);
        let scores = ViewMut::of_scores(&mut tiles.scores, m, columns);
        product::product(
            self.isa,
            scores,
            Finish::SET,
            self.source(q, unit, queries.start),
            View::of_tile(&tiles.keys, columns),
            d,
        );
        self.ahead(next, 1);
        unit.place(self.isa, &self.input, &queries, &keys, &mut tiles.scores);
        let grads = ViewMut::of_scores(&mut tiles.grads, m, columns);
        product::product(self.isa, grads, Finish::SET, dctx, View::of_tile(&tiles.values, columns), d);
        self.ahead(next, 2);
        let first = unit.head * self.input.queries() + queries.start;
        let lse = &self.lse[first..first + m];
        let mask = unit.mask(mask, dims.heads, queries.start, keys.start);
        let (scores, grads) = (&mut tiles.scores, &mut tiles.grads);
        scores::score_gradients(self.isa, scores, grads, lse, delta, n, scale, mask);
        if let Some(Relative { buckets, .. }) = relative {
            let corner = Corner::new(unit, dims.heads, buckets, &queries, &keys);
            let [by_query, by_key] = self.relative;
            if let Some((memory, _)) = by_query {
                corner.add_to_queries(memory, buckets, grads);
            }
            if let Some((memory, _)) = by_key {
                relative::add_to_keys(self.isa, corner, memory, buckets, grads);
            }
        }

        let first_queries = queries.start == unit.queries_of(&keys, window).start;
        let first_keys = keys.start == unit.keys_of(&queries, window).start;
        let (scores, grads) = (View::of_tile(scores, columns), View::of_tile(grads, columns));
        self.ahead(next, 3);
        if let Some((c, finish)) = self.target(v, unit, &keys, first_queries) {
            product::product(self.isa, c, finish, scores.transposed(), dctx, m);
        }
        self.ahead(next, 4);
        if let Some((c, finish)) = self.target(k, unit, &keys, first_queries) {
            product::product(self.isa, c, finish, grads.transposed(), self.source(q, unit, queries.start), m);
        }
        self.ahead(next, 5);
        if let Some((c, finish)) = self.target(q, unit, &queries, first_keys) {
            product::product(self.isa, c, finish, grads, self.source(k, unit, keys.start), n);
        }
    }

    /// Fetches a part of what the next unit needs: a little at a time, as much as the memory can bring during one product.
    fn ahead(&self, next: Option<&Unit>, part: usize) {
        let Some(next) = next else { return };
        let ([q, k, v], d) = (self.places, self.input.dims.head_dim);
        let read = |place, rows: &Range<usize>| self.source(place, next, rows.start).prefetch(rows.len(), d);
        let write = |place, rows: &Range<usize>| {
            if let Some((c, _)) = self.target(place, next, rows, true) {
                c.prefetch();
            }
        };
        match part {
            0 => self.by_query(self.dctx, next, next.queries.start).prefetch(next.queries.len(), d),
            1 => read(k, &next.rows),
            2 => read(v, &next.rows),
            3 => {
                read(q, &next.queries);
                self.by_query(self.ctx, next, next.queries.start).prefetch(next.queries.len(), d);
            }
            4 => {
                write(v, &next.rows);
                write(k, &next.rows);
            }
            _ => write(q, &next.queries),
        }
    }

    /// This head's columns of q, k or v, from `row` on.
    fn source(&self, place: Place, unit: &Unit, row: usize) -> View<'_> {
        View::of_head(self.input.sources[place.source], place, row, unit.head * self.input.dims.head_dim)
    }

    /// This head's columns of ctx or dctx, from `row` on.
    fn by_query<'v>(&self, data: &'v [f32], unit: &Unit, row: usize) -> View<'v> {
        let place = Place { source: 0, first: 0, stride: self.input.dims.width() };
        View::of_head(data, place, row, unit.head * self.input.dims.head_dim)
    }

    /// Rows of a wanted gradient, and what to do with sums for them: add them always after the first tile, before it as beta says.
    fn target(
        &self,
        place: Place,
        unit: &Unit,
        rows: &Range<usize>,
        first: bool,
    ) -> Option<(ViewMut<'_>, Finish<'static>)> {
        let (memory, beta) = self.grads[place.source]?;
        let (d, start) = (self.input.dims.head_dim, rows.start * place.stride + place.first);
        // SAFETY: these rows and columns belong to this unit alone, whose task makes one view at a time.
        let view = unsafe { ViewMut::new(memory, start + unit.head * d, place.stride, rows.len(), d) };
        Some((view, if first && beta == 0.0 { Finish::SET } else { Finish::ADD }))
    }
}
