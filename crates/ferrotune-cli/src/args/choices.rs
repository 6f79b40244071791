//! The names that a flag may have as its value. It must not know what they do.

use clap::ValueEnum;
use ferrotune_data::LongTexts;
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

/// What matrix products are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point throughout.
    F32,
    /// Inputs of linear layers rounded to bf16, forward and backward; sums, weights and all else in f32. Needs AMX or AVX512_BF16.
    #[cfg_attr(feature = "cuda", doc = "On a GPU activations are stored in bf16 too.")]
    Bf16,
    /// f32, of which matrix products on a GPU read 19 bits.
    #[cfg(feature = "cuda")]
    Tf32,
    /// bf16 where it is faster, else f32.
    Auto,
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

/// What a fine-tuned classifier is shown beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaselinesName {
    /// Nothing.
    Off,
    /// The most frequent class, and logistic regression on words: seconds.
    Words,
    /// These, and logistic regression on the frozen encoder: a pass over the rows more.
    All,
}

/// Settings that belong together; `settings/recipes.rs` has their values and sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecipeName {
    /// Long and slow, for small data where some seeds fail (Mosbach et al. 2021).
    Stable,
    /// Longer, and the top starts anew, for a few thousand rows or less (Zhang et al. 2021).
    FewSample,
    /// The encoder stays as it is; the head, and BERT's pooler, learn.
    HeadOnly,
    /// Low-rank products beside frozen weights (Hu et al. 2021).
    Lora,
    /// Most layers frozen, the two top ones trained, with dropout, L2 and a rate that falls as a cosine.
    Article,
    /// From the head down, a few layers more in each epoch, the lower the slower (Howard and Ruder 2018).
    Ulmfit,
    /// Rate, epochs and batch by the number of rows and classes and the size of the encoder; says why.
    Auto,
}

/// What to do with a run that learned one answer for all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDegenerate {
    /// Say it and go on.
    Warn,
    /// Begin again with the next seed.
    Restart,
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
    /// A tag for each word of a row: entities in the schemes IOB2 and BIOES, or a class for each word, such as its part of speech.
    Tokens,
}

/// What is read of a text that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LongTextsName {
    /// Its first tokens.
    Head,
    /// A quarter of the tokens from its begin and three quarters from its end.
    HeadTail,
    /// All of it, in overlapping windows.
    Windows,
}

impl From<LongTextsName> for LongTexts {
    fn from(name: LongTextsName) -> LongTexts {
        match name {
            LongTextsName::Head => LongTexts::Head,
            LongTextsName::HeadTail => LongTexts::HeadTail,
            LongTextsName::Windows => LongTexts::Windows,
        }
    }
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

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// The input's columns, then what is predicted, with probabilities.
    Csv,
    /// One object a row with what is predicted, probabilities by name.
    Jsonl,
}

/// Formats of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON object a line.
    Jsonl,
}
