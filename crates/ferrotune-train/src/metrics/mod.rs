//! What an evaluation measured: one report for each kind of task, the names of the metrics, and a summary that fits on a line. Must
//! not know models, batches or files.

mod assignment;
mod bootstrap;
mod by_length;
mod calibration;
mod classification;
mod detail;
mod entities;
mod exact;
mod masked;
mod mistakes;
mod multi_label;
mod paired;
mod ranking;
mod regression;
mod slices;
mod tally;
mod words;

pub use assignment::{Renamed, SwappedNames};
pub use bootstrap::{Interval, Intervals, RESAMPLES};
pub use by_length::{LengthBin, by_length};
pub use calibration::{BINS, ReliabilityBin};
pub(crate) use calibration::{calibration_error, reliability};
pub use classification::{ClassMetrics, ClassificationReport, ConfusedPair, Confusion};
pub use detail::{ClassRanking, ClassificationDetail, Classified, MeanOfClasses};
pub use entities::{Entity, EntityCounts, EntityReport, entities};
pub use exact::{fisher, holm, mcnemar, wilson};
pub use masked::MaskedReport;
pub use mistakes::Mistake;
pub use multi_label::{LabelCounts, MultiLabelReport};
pub use paired::{Compared, Gain, PERMUTATIONS, Paired, gains, paired};
pub use regression::RegressionReport;
pub use slices::{Against, FEWEST_RESAMPLED, LEVEL, Slice, quantiles};
pub use words::WordReport;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

#[cfg(test)]
mod tests;

/// The result of one evaluation on one split. In JSON the key `task` says which it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Report {
    /// One class a row.
    Classification(ClassificationReport),
    /// Any number of labels a row.
    MultiLabel(MultiLabelReport),
    /// A number a row.
    Regression(RegressionReport),
    /// Entities, which a tag for each word of a row spells.
    Tokens(EntityReport),
    /// A class for each word of a row.
    Words(WordReport),
    /// Hidden tokens.
    Masked(MaskedReport),
}

impl Report {
    /// The numbers of the report that fit on one line.
    pub fn summary(&self) -> Summary {
        match self {
            Report::Classification(report) => report.summary(),
            Report::MultiLabel(report) => report.summary(),
            Report::Regression(report) => report.summary(),
            Report::Tokens(report) => report.summary(),
            Report::Words(report) => report.summary(),
            Report::Masked(report) => report.summary(),
        }
    }

    /// The loss, of numbers the squared error.
    pub fn loss(&self) -> f64 {
        match self {
            Report::Classification(report) => report.loss,
            Report::MultiLabel(report) => report.loss,
            Report::Regression(report) => report.mse,
            Report::Tokens(report) => report.loss,
            Report::Words(report) => report.loss,
            Report::Masked(report) => report.loss,
        }
    }
}

/// The metrics of a report, in the order in which they are shown. JSON: one key a metric, then `rows`; a value that is not finite is
/// `null`.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Names and values.
    pub values: Vec<(MetricName, f64)>,
    /// Rows evaluated.
    pub rows: u64,
}

impl Summary {
    /// The value of a metric.
    ///
    /// # Panics
    /// If the task has no such metric; settings are checked against the task before a run.
    pub fn value(&self, metric: MetricName) -> f64 {
        let found = self.values.iter().find(|(name, _)| *name == metric);
        found.unwrap_or_else(|| panic!("Summary::value: no {metric} among {:?}", self.values)).1
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len() + 1))?;
        for (metric, value) in &self.values {
            map.serialize_entry(metric.name(), value)?;
        }
        map.serialize_entry("rows", &self.rows)?;
        map.end()
    }
}

pub(crate) fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// 0 if the whole is 0.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The number by which the best epoch is chosen. Which ones there are depends on the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// Mean loss; lower is better.
    Loss,
    /// The exponential of the loss; lower is better.
    Perplexity,
    /// Share of rows, words or tokens predicted right.
    Accuracy,
    /// Macro F1.
    F1Macro,
    /// Matthews correlation.
    Mcc,
    /// Micro F1.
    F1Micro,
    /// Micro precision.
    PrecisionMicro,
    /// Micro recall.
    RecallMicro,
    /// Share of rows whose whole set of labels is right.
    SubsetAccuracy,
    /// Linear correlation.
    Pearson,
    /// Correlation of ranks.
    Spearman,
    /// Mean squared error; lower is better.
    Mse,
    /// Mean absolute error; lower is better.
    Mae,
}

/// A metric name that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown metric {0:?}; use {known}", known = MetricName::ALL.map(MetricName::name).join(", "))]
pub struct UnknownMetric(pub String);

impl MetricName {
    /// Every metric of every task.
    pub const ALL: [MetricName; 13] = [
        MetricName::Loss,
        MetricName::Perplexity,
        MetricName::Accuracy,
        MetricName::F1Macro,
        MetricName::Mcc,
        MetricName::F1Micro,
        MetricName::PrecisionMicro,
        MetricName::RecallMicro,
        MetricName::SubsetAccuracy,
        MetricName::Pearson,
        MetricName::Spearman,
        MetricName::Mse,
        MetricName::Mae,
    ];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            MetricName::Loss => "loss",
            MetricName::Perplexity => "perplexity",
            MetricName::Accuracy => "accuracy",
            MetricName::F1Macro => "f1_macro",
            MetricName::Mcc => "mcc",
            MetricName::F1Micro => "f1_micro",
            MetricName::PrecisionMicro => "precision_micro",
            MetricName::RecallMicro => "recall_micro",
            MetricName::SubsetAccuracy => "subset_accuracy",
            MetricName::Pearson => "pearson",
            MetricName::Spearman => "spearman",
            MetricName::Mse => "mse",
            MetricName::Mae => "mae",
        }
    }

    /// Whether it measures errors.
    pub fn lower_is_better(self) -> bool {
        matches!(self, MetricName::Loss | MetricName::Perplexity | MetricName::Mse | MetricName::Mae)
    }

    /// Is `candidate` strictly better than `best`? NaN is never better; every number is better than NaN.
    pub fn better(self, candidate: f64, best: f64) -> bool {
        if candidate.is_nan() || best.is_nan() {
            return !candidate.is_nan();
        }
        if self.lower_is_better() { candidate < best } else { candidate > best }
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MetricName {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        MetricName::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| UnknownMetric(name.to_string()))
    }
}
