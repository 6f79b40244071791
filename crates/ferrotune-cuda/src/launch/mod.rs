//! One file a family of kernels: the structs that its launches pass, in the layout of their twins in `kernels/`, and the launches. They check
//! lengths, and must not know the tensor core's tape or ops.
//!
//! The `SAFETY` sentences say which memory a `Ref` or `Mut` borrows, and what compared its length. That is enough until the launch is queued: what
//! others do with the memory afterwards is queued behind it.

pub(crate) mod activation;
pub(crate) mod add_norm;
pub(crate) mod attention;
pub(crate) mod column_sums;
pub(crate) mod copy;
pub(crate) mod elementwise;
pub(crate) mod embedding;
pub(crate) mod linear;
pub(crate) mod losses;
pub(crate) mod optimizer;
pub(crate) mod reduce;
pub(crate) mod rotary;
pub(crate) mod sequence_means;
pub(crate) mod softmax;
mod teams;

use crate::device::THREADS;

/// Warps of a block of [`THREADS`]: the rows that it takes where a warp takes each.
const WARPS: usize = THREADS as usize / 32;

/// Numbers of a matrix. Sizes whose product overflows fit no memory, and must not pass a comparison of lengths with what is left of it.
fn area(rows: usize, columns: usize) -> usize {
    rows.checked_mul(columns).unwrap_or_else(|| panic!("a matrix of {rows} x {columns} numbers"))
}
