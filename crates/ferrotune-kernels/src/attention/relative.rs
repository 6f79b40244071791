//! What distances add to the scores of a tile, and the gradients of that. Must not know what the numbers of a distance were made from.
//!
//! N buckets of distances, H heads: each query has a row of H·N numbers, one for each head and bucket, head h the columns `h·N..(h+1)·N`; and so may
//! each key. With `b` the bucket of `j - i`, the place of key j less that of query i, head by head:
//!
//! ```text
//! s_ij = scale·(q_i·k_j + by_query_i[b] + by_key_j[b])
//! ```
//!
//! MPNet's bias is the first of the two, alike for all queries (Song et al. 2020, <https://arxiv.org/abs/2004.09297>, with the buckets of Raffel et al. 2020,
//! <https://arxiv.org/abs/1910.10683>); both together are DeBERTa's disentangled attention (He et al. 2021, <https://arxiv.org/abs/2006.03654>, section 3.1).

use std::ops::Range;

use super::Unit;
use super::tile::{self, Scores};
use crate::isa::{Isa, dispatch};
use crate::par::DisjointMut;
use crate::vector::{LANES, Vector, Wide};

/// Scores by distance; see the head of the file.
#[derive(Clone, Copy, Debug)]
pub struct Relative<'a> {
    /// `[R, H·N]`.
    pub by_query: &'a [f32],
    /// `[T, H·N]`.
    pub by_key: Option<&'a [f32]>,
    /// Where they are.
    pub buckets: Buckets<'a>,
}

/// The bucket of each distance.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    /// An odd number of them, that of distance 0 in the middle; a key that comes after its query has a positive distance.
    pub of: &'a [u32],
    /// N.
    pub count: usize,
}

impl Buckets<'_> {
    /// Panics unless every distance in a sequence of `longest` tokens has a bucket, and every bucket is below their number.
    pub(super) fn check(&self, op: &str, longest: usize) {
        let known = self.of.len().div_ceil(2);
        assert!(
            self.of.len() % 2 == 1 && known >= longest,
            "{op}: buckets: {} of them, for sequences of {longest}",
            self.of.len()
        );
        let (largest, count) = (self.of.iter().max().map_or(0, |&bucket| bucket as usize), self.count);
        assert!(largest < count, "{op}: buckets: bucket {largest} of {count}");
    }
}

/// Where a tile's distances and rows begin.
#[derive(Clone, Copy)]
pub(super) struct Corner {
    /// Among the buckets, the place of the tile's first query and first key.
    first: usize,
    /// Their rows.
    query: usize,
    key: usize,
    /// The head's columns.
    head: usize,
    heads: usize,
    queries: usize,
    keys: usize,
}

impl Corner {
    pub(super) fn new(
        unit: &Unit,
        heads: usize,
        buckets: Buckets<'_>,
        queries: &Range<usize>,
        keys: &Range<usize>,
    ) -> Self {
        let first = buckets.of.len() / 2 + (keys.start - unit.rows.start) - (queries.start - unit.queries.start);
        let (query, key) = (queries.start, keys.start);
        Corner { first, query, key, head: unit.head, heads, queries: queries.len(), keys: keys.len() }
    }

    /// The head's numbers in a row.
    fn columns(&self, row: usize, count: usize) -> Range<usize> {
        columns(row, self.head, self.heads, count)
    }

    /// The buckets of query number `i` of the tile with the keys in turn.
    fn of_query<'a>(&self, buckets: Buckets<'a>, i: usize) -> &'a [u32] {
        &buckets.of[self.first - i..][..self.keys]
    }

    /// The buckets of key number `j` of the tile with the queries in turn, the last one first.
    fn of_key<'a>(&self, buckets: Buckets<'a>, j: usize) -> &'a [u32] {
        &buckets.of[self.first + j + 1 - self.queries..][..self.queries]
    }

    /// Whether all distances of the tile have buckets of their own, one after the other. Then a query's or key's numbers for the tile lie side by side.
    fn is_run(&self, buckets: Buckets<'_>) -> bool {
        let all = &buckets.of[self.first + 1 - self.queries..][..self.queries + self.keys - 1];
        all.windows(2).all(|pair| pair[1] == pair[0] + 1)
    }

    /// Adds scores of distances to those of products, which are scaled already.
    pub(super) fn add(&self, isa: Isa, relative: Relative<'_>, scores: &mut Scores, scale: f32) {
        let Relative { by_query, by_key, buckets } = relative;
        let (is_run, width) = (self.is_run(buckets), tile::columns(self.keys));
        for (i, row) in scores.0.chunks_exact_mut(width).take(self.queries).enumerate() {
            let (numbers, of) = (&by_query[self.columns(self.query + i, buckets.count)], self.of_query(buckets, i));
            if is_run {
                let numbers = &numbers[of[0] as usize..][..of.len()];
                row.iter_mut().zip(numbers).for_each(|(s, number)| *s += scale * number);
            } else {
                row.iter_mut().zip(of).for_each(|(s, &bucket)| *s += scale * numbers[bucket as usize]);
            }
        }
        if let Some(by_key) = by_key {
            add_columns(isa, *self, by_key, buckets, scores, scale);
        }
    }

    /// Adds the gradients of a tile's unscaled scores to those of the queries' numbers.
    pub(super) fn add_to_queries(&self, memory: DisjointMut<'_>, buckets: Buckets<'_>, grads: &Scores) {
        let is_run = self.is_run(buckets);
        for (i, row) in grads.0.chunks_exact(tile::columns(self.keys)).take(self.queries).enumerate() {
            // SAFETY: these columns of these rows belong to the unit alone, whose task holds no other range of them.
            let numbers = unsafe { memory.range(self.columns(self.query + i, buckets.count)) };
            let of = self.of_query(buckets, i);
            if is_run {
                numbers[of[0] as usize..][..of.len()].iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            } else {
                row.iter().zip(of).for_each(|(g, &bucket)| numbers[bucket as usize] += g);
            }
        }
    }
}

dispatch! {
    /// [`Corner::add`] of the keys' numbers.
    fn add_columns(corner: Corner, by_key: &[f32], buckets: Buckets<'_>, scores: &mut Scores, scale: f32) = add_columns_body;
    /// Adds the gradients of a tile's unscaled scores to those of the keys' numbers.
    pub(super) fn add_to_keys(corner: Corner, memory: DisjointMut<'_>, buckets: Buckets<'_>, grads: &Scores) = add_to_keys_body;
}

/// A key's numbers are a column of the tile, from its last query up: blocks of 16 by 16 are transposed. Product and sum are rounded one by one on every set.
#[inline(always)]
fn add_columns_body<L: Wide>(corner: Corner, by_key: &[f32], buckets: Buckets<'_>, scores: &mut Scores, scale: f32) {
    let (is_run, width) = (corner.is_run(buckets), tile::columns(corner.keys));
    for first_key in (0..corner.keys).step_by(LANES) {
        for from in (0..corner.queries).step_by(LANES) {
            let count = LANES.min(corner.queries - from);
            // SAFETY: `dispatch!` enables the set. Loads take `count` elements of a slice of as many; rows of the tile are whole vectors wide.
            unsafe {
                let mut block = [L::Vector::zero(); LANES];
                for (j, column) in (first_key..corner.keys).zip(&mut block) {
                    let numbers = &by_key[corner.columns(corner.key + j, buckets.count)];
                    let of = &corner.of_key(buckets, j)[from..from + count];
                    *column = if is_run {
                        L::Vector::load_first(numbers[of[0] as usize..][..count].as_ptr(), count)
                    } else {
                        let mut found = [0.0; LANES];
                        found.iter_mut().zip(of).for_each(|(found, &bucket)| *found = numbers[bucket as usize]);
                        L::Vector::load(found.as_ptr())
                    };
                }
                for (up, numbers) in L::Vector::transpose(block).into_iter().take(count).enumerate() {
                    let at = (corner.queries - 1 - from - up) * width + first_key;
                    let row = scores.0[at..at + LANES].as_mut_ptr();
                    L::Vector::load(row).add(numbers.mul(L::Vector::splat(scale))).store(row);
                }
            }
        }
    }
}

#[inline(always)]
fn add_to_keys_body<L: Wide>(corner: Corner, memory: DisjointMut<'_>, buckets: Buckets<'_>, grads: &Scores) {
    let (is_run, width) = (corner.is_run(buckets), tile::columns(corner.keys));
    for first_key in (0..corner.keys).step_by(LANES) {
        for from in (0..corner.queries).step_by(LANES) {
            let count = LANES.min(corner.queries - from);
            // SAFETY: `dispatch!` enables the set. Rows of the tile are whole vectors wide; loads and stores take `count` elements of a slice of as many. The
            // columns of these rows belong to the unit alone, whose task holds no other range of them.
            unsafe {
                let mut block = [L::Vector::zero(); LANES];
                for (up, row) in block.iter_mut().take(count).enumerate() {
                    let at = (corner.queries - 1 - from - up) * width + first_key;
                    *row = L::Vector::load(grads.0[at..at + LANES].as_ptr());
                }
                for (j, column) in (first_key..corner.keys).zip(L::Vector::transpose(block)) {
                    let numbers = memory.range(corner.columns(corner.key + j, buckets.count));
                    let of = &corner.of_key(buckets, j)[from..from + count];
                    if is_run {
                        let sums = numbers[of[0] as usize..][..count].as_mut_ptr();
                        L::Vector::load_first(sums, count).add(column).store_first(sums, count);
                    } else {
                        let mut grads = [0.0; LANES];
                        column.store(grads.as_mut_ptr());
                        grads.iter().zip(of).for_each(|(g, &bucket)| numbers[bucket as usize] += g);
                    }
                }
            }
        }
    }
}

/// One head's numbers in a row.
fn columns(row: usize, head: usize, heads: usize, count: usize) -> Range<usize> {
    let start = (row * heads + head) * count;
    start..start + count
}

/// Zeros in the columns of one head of some rows.
pub(super) fn clear(memory: DisjointMut<'_>, rows: &Range<usize>, head: usize, heads: usize, count: usize) {
    for row in rows.clone() {
        // SAFETY: these columns of these rows belong to the unit alone, whose task holds no other range of them.
        unsafe { memory.range(columns(row, head, heads, count)) }.fill(0.0);
    }
}
