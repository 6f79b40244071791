//! Metrics of a class a word, such as its part of speech: those of classes, counted over words. Must not know models, batches or files.

use super::{ClassMetrics, ClassificationReport, MetricName, Summary, nan_if_null};
use serde::{Deserialize, Serialize};

/// The result of one evaluation of a tagger whose tags are classes of words. Words of which the tokenizer leaves nothing have no part in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordReport {
    /// Share of words with the right tag.
    pub accuracy: f64,
    /// Mean F1 of the tags that are there or were given.
    pub f1_macro: f64,
    /// Matthews correlation.
    pub mcc: f64,
    /// Mean cross-entropy of a word; `null` in JSON if it is not finite.
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// One entry a tag, in the order of the model's outputs; their support counts words.
    pub per_class: Vec<ClassMetrics>,
    /// Words: one row a true tag, one column a predicted tag.
    pub confusion: Vec<Vec<u64>>,
    /// Words evaluated.
    pub words: u64,
    /// Words that have no token.
    pub silent_words: u64,
    /// Rows evaluated.
    pub rows: u64,
}

impl WordReport {
    /// Of the report of a [`Confusion`](super::Confusion) that counts words, with the words that it leaves out and the rows in which they stand.
    pub fn of(words: ClassificationReport, silent_words: u64, rows: u64) -> WordReport {
        let ClassificationReport { accuracy, f1_macro, mcc, loss, per_class, confusion, rows: words } = words;
        WordReport { accuracy, f1_macro, mcc, loss, per_class, confusion, words, silent_words, rows }
    }

    /// The numbers of the report that fit on one line.
    pub fn summary(&self) -> Summary {
        let values = vec![
            (MetricName::Accuracy, self.accuracy),
            (MetricName::F1Macro, self.f1_macro),
            (MetricName::Mcc, self.mcc),
            (MetricName::Loss, self.loss),
        ];
        Summary { values, rows: self.rows }
    }
}
