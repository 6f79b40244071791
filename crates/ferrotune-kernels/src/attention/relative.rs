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
use crate::par::DisjointMut;

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

    /// The buckets of key number `j` of the tile with the queries in turn.
    fn of_key<'a>(&self, buckets: Buckets<'a>, j: usize) -> impl Iterator<Item = &'a u32> {
        buckets.of[self.first + j + 1 - self.queries..][..self.queries].iter().rev()
    }

    /// Adds scores of distances to those of products, which are scaled already.
    pub(super) fn add(&self, relative: Relative<'_>, scores: &mut Scores, scale: f32) {
        let Relative { by_query, by_key, buckets } = relative;
        let width = tile::columns(self.keys);
        for (i, row) in scores.0.chunks_exact_mut(width).take(self.queries).enumerate() {
            let numbers = &by_query[self.columns(self.query + i, buckets.count)];
            for (s, &bucket) in row.iter_mut().zip(self.of_query(buckets, i)) {
                *s += scale * numbers[bucket as usize];
            }
        }
        let Some(by_key) = by_key else { return };
        for j in 0..self.keys {
            let numbers = &by_key[self.columns(self.key + j, buckets.count)];
            for (s, &bucket) in scores.0[j..].iter_mut().step_by(width).zip(self.of_key(buckets, j)) {
                *s += scale * numbers[bucket as usize];
            }
        }
    }

    /// Adds the gradients of a tile's unscaled scores to those of the queries' numbers.
    pub(super) fn add_to_queries(&self, memory: DisjointMut<'_>, buckets: Buckets<'_>, grads: &Scores) {
        for (i, row) in grads.0.chunks_exact(tile::columns(self.keys)).take(self.queries).enumerate() {
            // SAFETY: these columns of these rows belong to the unit alone, whose task holds no other range of them.
            let numbers = unsafe { memory.range(self.columns(self.query + i, buckets.count)) };
            for (g, &bucket) in row.iter().zip(self.of_query(buckets, i)) {
                numbers[bucket as usize] += g;
            }
        }
    }

    /// The same for the keys' numbers.
    pub(super) fn add_to_keys(&self, memory: DisjointMut<'_>, buckets: Buckets<'_>, grads: &Scores) {
        for j in 0..self.keys {
            // SAFETY: as above.
            let numbers = unsafe { memory.range(self.columns(self.key + j, buckets.count)) };
            for (g, &bucket) in grads.0[j..].iter().step_by(tile::columns(self.keys)).zip(self.of_key(buckets, j)) {
                numbers[bucket as usize] += g;
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
