//! Losses: ops whose output is one number. Each takes a `scale` (one over the rows of the whole batch for a mean), so that
//! micro-batches add up to the batch.

mod binary_cross_entropy;
mod cross_entropy;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use cross_entropy::CrossEntropy;
