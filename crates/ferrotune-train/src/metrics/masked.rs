//! What a masked language model is worth. Must not know batches or files.

use super::{MetricName, Summary, nan_if_null};
use serde::{Deserialize, Serialize};

/// The result of an evaluation over hidden tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskedReport {
    /// Mean cross-entropy of the hidden tokens, in nats.
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// `exp(loss)`: among how many equally likely tokens the model is left in doubt.
    #[serde(deserialize_with = "nan_if_null")]
    pub perplexity: f64,
    /// Share of hidden tokens that were told right.
    #[serde(deserialize_with = "nan_if_null")]
    pub accuracy: f64,
    /// Hidden tokens.
    pub tokens: u64,
    /// Rows in which they are.
    pub rows: u64,
}

impl MaskedReport {
    /// From sums over all hidden tokens: of the loss, and of those told right.
    pub fn of(loss: f64, right: f64, tokens: u64, rows: u64) -> MaskedReport {
        let loss = loss / tokens as f64;
        MaskedReport { loss, perplexity: loss.exp(), accuracy: right / tokens as f64, tokens, rows }
    }

    /// Loss, perplexity, accuracy.
    pub fn summary(&self) -> Summary {
        let values = vec![
            (MetricName::Loss, self.loss),
            (MetricName::Perplexity, self.perplexity),
            (MetricName::Accuracy, self.accuracy),
        ];
        Summary { values, rows: self.rows }
    }
}
