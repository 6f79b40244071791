//! Scaled dot-product attention over ragged batches: each sequence attends within itself, nothing is padded and no S×S matrix is
//! stored. Must not know encoders, projections or special tokens.
//!
//! Shapes: T tokens of B sequences, H heads of d, w = H·d. q, k, v, ctx and their gradients: `[T, w]`; head h owns the columns
//! `h·d..(h+1)·d`. offsets: `[B + 1]`, ascending from 0 to T; sequence b is the rows `offsets[b]..offsets[b+1]`. lse: `[H, T]`.
//! For rows i and j of one sequence and each head:
//!
//! ```text
//! s_ij = scale·q_i·k_j     lse_i = log Σ_j exp(s_ij)     p_ij = exp(s_ij - lse_i)     ctx_i = Σ_j z_ij·p_ij·v_j
//! ```
//!
//! z is the dropout mask; its element is `(h·T + i) << 17 | j'`, j' the place of key j in its sequence (below 2¹⁷).
//!
//! Tiled with an online softmax as in FlashAttention (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>); backward computes
//! the tiles of p again from lse. One (sequence, head) is a unit that one task computes in a fixed order; small units share a task.

mod backward;
mod forward;
#[cfg(test)]
mod tests;
pub mod textbook;
mod tile;

use std::ops::Range;

use crate::target::Target;

pub use backward::{backward, backward_scratch};
pub use forward::forward;

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

/// Where the gradients go, each `[T, w]`.
#[derive(Debug, Default)]
pub struct AttentionGrads<'a> {
    /// By the queries.
    pub dq: Target<'a>,
    /// By the keys.
    pub dk: Target<'a>,
    /// By the values.
    pub dv: Target<'a>,
}

/// One sequence and one head of it.
#[derive(Clone)]
struct Unit {
    /// Rows of the sequence.
    rows: Range<usize>,
    head: usize,
}

impl Unit {
    /// Unit number `index` of B·H, the heads of a sequence side by side.
    fn new(index: usize, offsets: &[u32], dims: AttentionDims) -> Self {
        let sequence = index / dims.heads;
        Self { rows: offsets[sequence] as usize..offsets[sequence + 1] as usize, head: index % dims.heads }
    }

    /// Multiply-adds of the two products of forward.
    fn weight(index: usize, offsets: &[u32], dims: AttentionDims) -> u64 {
        let length = Unit::new(index, offsets, dims).rows.len();
        (2 * length * length.next_multiple_of(tile::BLOCK) * dims.head_dim) as u64
    }

    /// The mask's element of query row i and key 0.
    fn mask_element(&self, tokens: usize, row: usize) -> u64 {
        ((self.head * tokens + row) as u64) << KEY_BITS
    }
}

/// Checks the lengths and the offsets; returns T.
fn check(op: &str, matrices: &[(&str, usize)], lse: usize, offsets: &[u32], dims: AttentionDims) -> usize {
    let AttentionDims { heads, head_dim } = dims;
    assert!(
        heads > 0 && (1..=MAX_HEAD_DIM).contains(&head_dim),
        "{op}: dims: expected heads > 0 and 1 <= head_dim <= {MAX_HEAD_DIM}, got {dims:?}"
    );
    assert!(offsets.first() == Some(&0), "{op}: offsets: expected B + 1 of them from 0, got {:?}", offsets.first());
    for (b, pair) in offsets.windows(2).enumerate() {
        let good = pair[0] <= pair[1] && pair[1] - pair[0] <= 1 << KEY_BITS;
        assert!(good, "{op}: offsets: sequence {b} from {} to {}: expected 0 to 2^{KEY_BITS} tokens", pair[0], pair[1]);
    }
    let tokens = offsets[offsets.len() - 1] as usize;
    for (name, len) in matrices {
        let want = tokens * dims.width();
        assert_eq!(*len, want, "{op}: {name}: expected {tokens} rows of {}, got {len} elements", dims.width());
    }
    assert_eq!(lse, heads * tokens, "{op}: lse: expected {heads} heads of {tokens} tokens, got {lse} elements");
    tokens
}
