//! Scaled dot-product attention over ragged batches: each sequence attends within itself, nothing is padded and no S×S matrix is
//! stored. Must not know encoders, projections or special tokens.
//!
//! Shapes: T tokens and R queries of B sequences, H heads of d, w = H·d. k and v: `[T, w]`; q and ctx: `[R, w]`; head h owns the columns
//! `h·d..(h+1)·d`. offsets and query_offsets: `[B + 1]`, ascending from 0 to T and to R. The keys of sequence b are the rows
//! `offsets[b]..offsets[b+1]`, its queries the rows `query_offsets[b]..query_offsets[b+1]`, which stand for the first tokens of the
//! sequence: all of them, or only those whose result somebody reads. lse: `[H, R]`.
//! q, k and v come as three matrices, or as columns of wider ones (see [`Input::sources`]), as fused projections write them.
//! For queries i and keys j of one sequence and each head:
//!
//! ```text
//! s_ij = scale·q_i·k_j     lse_i = log Σ_j exp(s_ij)     p_ij = exp(s_ij - lse_i)     ctx_i = Σ_j z_ij·p_ij·v_j
//! ```
//!
//! With a window, a query sees the keys at most so many tokens away and no others: the sums run over these. [`Relative`] says what distances may add to
//! the scores.
//!
//! z is the dropout mask; its element is `(i·H + h) << 17 | j'`, i the query's place among all tokens and j' that of key j in its
//! sequence (below 2¹⁷). So the tokens from i on own the elements from `i·H << 17` on.
//!
//! Tiled with an online softmax as in FlashAttention (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>); backward computes
//! the tiles of p again from lse. One (sequence, head) is a unit; small units share a task, and the tiles of queries of a long one
//! may be tasks of their own in forward. Every number comes from one task, in a fixed order.

mod backward;
mod forward;
pub mod head_products;
mod product;
mod relative;
mod scores;
#[cfg(test)]
mod tests;
pub mod textbook;
mod tile;

use std::ops::Range;

use crate::isa::Isa;
use crate::mask::Mask;

pub use backward::{backward, backward_scratch};
pub use forward::forward;
pub use relative::{Buckets, Relative};

/// The largest head size; tiles of it lie on the stack.
pub const MAX_HEAD_DIM: usize = 256;

/// Bits of the mask's element that number the key.
const KEY_BITS: u32 = 17;

/// Multiply-adds of units that share one task: some twenty microseconds.
const ENOUGH: u64 = 1_000_000;

/// How the width is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionDims {
    /// H.
    pub heads: usize,
    /// d, at most [`MAX_HEAD_DIM`].
    pub head_dim: usize,
}

impl AttentionDims {
    /// w = H·d, the length of a row.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }
}

/// What attention reads; see the head of the module for the shapes.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The matrices that hold queries, keys and values: `[q, k, v]`, `[q, k|v]` or `[q|k|v]`, where `|` puts columns side by side.
    pub sources: &'a [&'a [f32]],
    /// Rows of each sequence's queries.
    pub query_offsets: &'a [u32],
    /// Rows of each sequence's keys and values.
    pub offsets: &'a [u32],
    /// Heads and their size.
    pub dims: AttentionDims,
    /// Factor of the scores.
    pub scale: f32,
    /// Dropout of the probabilities.
    pub mask: Mask,
    /// Tokens that a query sees to either side, if not all.
    pub window: Option<u32>,
    /// What distances add to the scores, if anything.
    pub relative: Option<Relative<'a>>,
}

/// Which source holds a matrix, and its columns there.
#[derive(Clone, Copy, Debug)]
struct Place {
    source: usize,
    first: usize,
    stride: usize,
}

impl Input<'_> {
    /// T.
    pub fn tokens(&self) -> usize {
        self.offsets.last().map_or(0, |&end| end as usize)
    }

    /// R.
    pub fn queries(&self) -> usize {
        self.query_offsets.last().map_or(0, |&end| end as usize)
    }

    /// Where q, k and v are.
    fn places(&self) -> [Place; 3] {
        let w = self.dims.width();
        let place = |source, first, blocks| Place { source, first: first * w, stride: blocks * w };
        match self.sources.len() {
            1 => [place(0, 0, 3), place(0, 1, 3), place(0, 2, 3)],
            2 => [place(0, 0, 1), place(1, 0, 2), place(1, 1, 2)],
            _ => [place(0, 0, 1), place(1, 0, 1), place(2, 0, 1)],
        }
    }

    /// Elements of each source.
    fn source_lens(&self) -> impl Iterator<Item = usize> {
        let (w, rows, queries, count) = (self.dims.width(), self.tokens(), self.queries(), self.sources.len());
        (0..count).map(move |source| match (count, source) {
            (1, _) => 3 * w * rows,
            (_, 0) => w * queries,
            (2, _) => 2 * w * rows,
            _ => w * rows,
        })
    }

    /// Elements of what distances add: by queries, by keys.
    fn relative_lens(&self) -> impl Iterator<Item = usize> {
        let width = self.relative.map_or(0, |relative| self.dims.heads * relative.buckets.count);
        let by_key = self.relative.and_then(|relative| relative.by_key);
        let rows = [self.relative.map(|_| self.queries()), by_key.map(|_| self.tokens())];
        rows.into_iter().flatten().map(move |rows| rows * width)
    }

    /// Checks lengths and offsets, with `ctx` and `lse` elements given for these.
    fn check(&self, op: &str, ctx: usize, lse: usize) {
        let AttentionDims { heads, head_dim } = self.dims;
        assert!(
            heads > 0 && (1..=MAX_HEAD_DIM).contains(&head_dim),
            "{op}: dims: expected heads > 0 and 1 <= head_dim <= {MAX_HEAD_DIM}, got {:?}",
            self.dims
        );
        for (name, offsets) in [("offsets", self.offsets), ("query_offsets", self.query_offsets)] {
            assert!(
                offsets.first() == Some(&0),
                "{op}: {name}: expected B + 1 of them from 0, got {:?}",
                offsets.first()
            );
            for (b, pair) in offsets.windows(2).enumerate() {
                let good = pair[0] <= pair[1] && pair[1] - pair[0] <= 1 << KEY_BITS;
                let (from, to) = (pair[0], pair[1]);
                assert!(good, "{op}: {name}: sequence {b} from {from} to {to}: expected 0 to 2^{KEY_BITS} tokens");
            }
        }
        assert_eq!(self.query_offsets.len(), self.offsets.len(), "{op}: query_offsets: expected as many as offsets");
        for (b, (queries, rows)) in self.query_offsets.windows(2).zip(self.offsets.windows(2)).enumerate() {
            let (queries, rows) = (queries[1] - queries[0], rows[1] - rows[0]);
            assert!(queries <= rows, "{op}: query_offsets: sequence {b} has {queries} queries for {rows} tokens");
        }
        let fused = self.sources.len() == 1;
        assert!(!fused || self.queries() == self.tokens(), "{op}: one source needs a query for each token");
        assert!((1..=3).contains(&self.sources.len()), "{op}: sources: expected 1 to 3, got {}", self.sources.len());
        let names: &[&str] = [["q|k|v"].as_slice(), &["q", "k|v"], &["q", "k", "v"]][self.sources.len() - 1];
        for ((name, source), want) in names.iter().zip(self.sources).zip(self.source_lens()) {
            assert_eq!(source.len(), want, "{op}: {name}: expected {want} elements, got {}", source.len());
        }
        if let Some(relative) = &self.relative {
            let longest = self.offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            relative.buckets.check(op, longest as usize);
            let given = [("by_query", Some(relative.by_query)), ("by_key", relative.by_key)];
            let given = given.into_iter().filter_map(|(name, numbers)| Some((name, numbers?.len())));
            for ((name, len), want) in given.zip(self.relative_lens()) {
                assert_eq!(len, want, "{op}: {name}: expected {want} elements, got {len}");
            }
        }
        let want = self.queries() * self.dims.width();
        assert_eq!(ctx, want, "{op}: ctx: expected {want} elements, got {ctx}");
        let want = heads * self.queries();
        assert_eq!(lse, want, "{op}: lse: expected {heads} heads of {} queries, got {lse} elements", self.queries());
    }
}

/// The first of the mask's elements that belong to a token and those after it, with so many heads.
pub fn first_mask_element(token: usize, heads: usize) -> u64 {
    ((token * heads) as u64) << KEY_BITS
}

/// Of `others`, whole tiles that hold all within a window of the tokens that `some` are; `first` is the first token's row where `some` are.
fn near(some: &Range<usize>, first: usize, others: &Range<usize>, window: Option<u32>) -> Range<usize> {
    let Some(window) = window else { return others.clone() };
    let (window, len) = (window as usize, others.len());
    let from = ((some.start - first).saturating_sub(window) / tile::TILE * tile::TILE).min(len);
    let to =
        (some.end - first).saturating_add(window).checked_next_multiple_of(tile::TILE).map_or(len, |to| to.min(len));
    others.start + from..others.start + to
}

/// One sequence and one head of it.
#[derive(Clone)]
struct Unit {
    /// Rows of the sequence's keys.
    rows: Range<usize>,
    /// Rows of its queries.
    queries: Range<usize>,
    head: usize,
}

impl Unit {
    /// Unit number `index` of B·H, the heads of a sequence side by side.
    fn new(index: usize, input: &Input<'_>) -> Self {
        let sequence = index / input.dims.heads;
        let range = |offsets: &[u32]| offsets[sequence] as usize..offsets[sequence + 1] as usize;
        Self { rows: range(input.offsets), queries: range(input.query_offsets), head: index % input.dims.heads }
    }

    /// Multiply-adds of the two products of forward.
    fn weight(index: usize, input: &Input<'_>) -> u64 {
        let Unit { rows, queries, .. } = Unit::new(index, input);
        let keys = input.window.map_or(rows.len(), |window| rows.len().min(2 * (window as usize + tile::TILE)));
        (2 * queries.len() * tile::columns(keys) * input.dims.head_dim) as u64
    }

    /// Whole tiles of keys among which are all that some of these queries see.
    fn keys_of(&self, queries: &Range<usize>, window: Option<u32>) -> Range<usize> {
        near(queries, self.queries.start, &self.rows, window)
    }

    /// Whole tiles of queries among which are all that see some of these keys; none where the sequence has no such queries.
    fn queries_of(&self, keys: &Range<usize>, window: Option<u32>) -> Range<usize> {
        near(keys, self.rows.start, &self.queries, window)
    }

    /// From scaled products of a tile to its scores: adds what distances do, and takes out what a window does.
    fn place(
        &self,
        isa: Isa,
        input: &Input<'_>,
        queries: &Range<usize>,
        keys: &Range<usize>,
        scores: &mut tile::Scores,
    ) {
        if let Some(relative) = input.relative {
            let corner = relative::Corner::new(self, input.dims.heads, relative.buckets, queries, keys);
            corner.add(isa, relative, scores, input.scale);
        }
        if let Some(cut) = self.cut(queries, keys, input.window) {
            cut.apply(scores, queries.len(), keys.len());
        }
    }

    /// What a window leaves of a tile; nothing is cut where every query of it sees every key.
    fn cut(&self, queries: &Range<usize>, keys: &Range<usize>, window: Option<u32>) -> Option<scores::Cut> {
        let (query, key) = (queries.start - self.queries.start, keys.start - self.rows.start);
        let (last_query, last_key) = (query + queries.len() - 1, key + keys.len() - 1);
        let window = window? as usize;
        let is_whole = last_key.saturating_sub(query) <= window && last_query.saturating_sub(key) <= window;
        (!is_whole).then_some(scores::Cut { query, key, window })
    }

    /// The part of the mask that drops probabilities of a tile, from this query and key on.
    fn mask(&self, mask: Mask, heads: usize, query: usize, key: usize) -> scores::TileMask {
        let token = self.rows.start + (query - self.queries.start);
        let first =
            first_mask_element(token, heads) + ((self.head as u64) << KEY_BITS) + (key - self.rows.start) as u64;
        scores::TileMask { mask, first, row: first_mask_element(1, heads) }
    }
}
