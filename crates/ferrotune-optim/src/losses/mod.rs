//! Losses: ops whose output is one number. Each takes a `scale` (one over the rows of the whole batch for a mean), so that
//! micro-batches add up to the batch. None of them must know names of labels, tasks, or the model that gave the logits.

mod binary_cross_entropy;
mod binary_focal;
mod cross_entropy;
mod focal;
mod huber;
mod squared_error;
#[cfg(test)]
mod tests;
mod weighted_cross_entropy;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use binary_focal::BinaryFocal;
pub use cross_entropy::CrossEntropy;
pub use focal::Focal;
pub use huber::Huber;
pub use squared_error::SquaredError;
pub use weighted_cross_entropy::WeightedCrossEntropy;
