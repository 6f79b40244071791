//! What a flag of `train` may be, where it is one of a few names.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ferrotune_train::metrics::MetricName;
use serde::{Deserialize, Serialize};

/// Shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// The peak rate for ever.
    Constant,
    /// A straight line to 0.
    Linear,
    /// Half a cosine down to --minimum-lr, --cycles times.
    Cosine,
    /// (1 - progress)^power down to --minimum-lr.
    Polynomial,
    /// A short rise from 1/32 of the peak, a long fall back to it (ULMFiT).
    SlantedTriangular,
    /// Cosines up from 1/25 of the peak and down to 1/250000 of it.
    OneCycle,
}

/// How gradients become steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// What numbers are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point throughout.
    F32,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// Settings that belong together; `recipes.rs` has their values and sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecipeName {
    /// Long and slow, for small data where some seeds fail (Mosbach et al. 2021).
    Stable,
    /// Longer, and the top starts anew, for a few thousand rows or less (Zhang et al. 2021).
    FewSample,
    /// The encoder stays as it is; pooler and head learn.
    HeadOnly,
    /// Low-rank products beside frozen weights (Hu et al. 2021).
    Lora,
}

/// What is learned from a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskName {
    /// One class a row, a logit for each class.
    Classification,
    /// One of two classes a row, one logit.
    Binary,
    /// Any number of labels a row.
    MultiLabel,
    /// A number a row.
    Regression,
}

/// What training makes small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// Cross-entropy; binary cross-entropy where outputs are yes or no.
    CrossEntropy,
    /// Cross-entropy that counts little where the model is already right (Lin et al. 2017).
    Focal,
    /// Mean squared error, of regression.
    Mse,
    /// Squared near the target and linear far from it, of regression.
    Huber,
}

/// The names of all metrics; which ones there are depends on the task.
pub(super) fn metric_names() -> impl TypedValueParser<Value = MetricName> {
    let names = PossibleValuesParser::new(MetricName::ALL.map(MetricName::name));
    names.map(|name| name.parse().expect("the parser before lets only names of metrics pass"))
}
