//! The built-in ops, one file each. An op checks its shapes, calls the backend and says which gradients it writes.
//! None of them must know a model, an optimizer, or what device computes.

mod add;
mod add_norm;
mod attention;
mod dropout;
mod embeddings;
mod gather_rows;
mod geglu;
mod gelu;
mod head_products;
mod linear;
mod low_rank;
mod mul;
mod relu;
mod rotary;
mod sequence_means;
mod softmax;
mod sum;
mod tanh;
#[cfg(test)]
mod tests;

pub use add::Add;
pub use add_norm::AddNorm;
pub use attention::{Attention, Distances};
pub use dropout::Dropout;
pub use embeddings::Embeddings;
pub use gather_rows::GatherRows;
pub use geglu::Geglu;
pub use gelu::Gelu;
pub use head_products::HeadProducts;
pub use linear::Linear;
pub use low_rank::LowRank;
pub use mul::Mul;
pub use relu::Relu;
pub use rotary::Rotary;
pub use sequence_means::SequenceMeans;
pub use softmax::Softmax;
pub use sum::Sum;
pub use tanh::Tanh;

use crate::{Backend, View};

/// Panics with the op's name unless it got `N` inputs.
#[track_caller]
pub(crate) fn inputs<'a, B: Backend, const N: usize>(op: &str, x: &[View<'a, B>]) -> [View<'a, B>; N] {
    match x.try_into() {
        Ok(inputs) => inputs,
        // Not in a closure, which would not know the caller.
        Err(_) => panic!("{op}: expected {N} inputs, got {}", x.len()),
    }
}
