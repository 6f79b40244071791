//! Probabilities that keep what they promise, and answers that are withheld: a temperature (Guo et al. 2017), figures of selective answering
//! (Geifman & El-Yaniv 2017), and a threshold below which a model abstains. Pure functions of logits, labels and confidences; it must not know
//! models, files or tasks beyond what [`Scored`] says.
//!
//! The score by which a model abstains is the calibrated probability of its answer, the maximum softmax probability of Hendrycks & Gimpel (2017).
//! The energy score of Liu et al. (2020) tells rows of no class better, and wrong answers worse (`benches/ACCURACY.md`), which is what a target
//! accuracy is about. It is no probability either: a person cannot set a threshold by hand, and one logit (binary) has none.

mod abstention;
mod binomial;
mod coverage;
mod scored;
mod temperature;
#[cfg(test)]
mod tests;

pub use abstention::{Abstention, Unreachable};
pub use binomial::{at_most, upper_limit};
pub use coverage::{CoveragePoint, Ranked, RiskCoverage};
pub use scored::{Quality, Scored};
pub use temperature::{COLDEST, FEWEST_ROWS, Fit, HOTTEST, NoFit, fit};
