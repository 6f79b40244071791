//! Learning-rate schedules: the multiplier of the base rate as a pure function of the optimizer step. Nothing here is
//! stored between steps, so a resumed run needs no scheduler state. Must not know optimizers, epochs or files.
//!
//! With `w` warm-up steps, `t` total steps and optimizer step `s` counted from 0, `p = (s - w) / max(1, t - w)`:
//!
//! | phase | factor |
//! |---|---|
//! | warm-up, `s < w` | `s / max(1, w)` |
//! | constant | `1` |
//! | linear | `(t - s) / max(1, t - w)` |
//! | cosine | `m + (1 - m) * (1 + cos(pi * frac(c * p))) / 2`, `m` the minimum, `c` the cycles |
//! | polynomial | `m + (1 - m) * (1 - p)^power` |
//! | past the end, `s >= t` | `1`, `0`, `m`, `m` |
//!
//! These are the lambdas behind `get_constant_schedule_with_warmup`, `get_linear_schedule_with_warmup`,
//! `get_cosine_schedule_with_warmup` (half a period), `get_cosine_with_hard_restarts_schedule_with_warmup` and
//! `get_polynomial_decay_schedule_with_warmup` of Hugging Face transformers (`optimization.py`). One difference: their cosine
//! rises again after the last step, ours stays at the minimum.

use std::f64::consts::PI;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The shape of the curve after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Kind {
    /// The base rate for ever.
    Constant,
    /// A straight line to 0 at the last step.
    Linear,
    /// Half a cosine period down to `minimum`, `cycles` times over.
    Cosine {
        /// Lowest factor, a fraction of the base rate in 0..=1.
        #[serde(default)]
        minimum: f64,
        /// How often the curve runs from 1 down to `minimum`; 1 means no restart. At least 1.
        #[serde(default = "one_cycle")]
        cycles: u32,
    },
    /// `(1 - progress)^power`, down to `minimum`.
    Polynomial {
        /// Exponent, above 0; 1 is a straight line.
        #[serde(default = "unit_power")]
        power: f64,
        /// Lowest factor, a fraction of the base rate in 0..=1.
        #[serde(default)]
        minimum: f64,
    },
}

fn one_cycle() -> u32 {
    1
}

fn unit_power() -> f64 {
    1.0
}

/// A schedule name or setting that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// The name is none of the four.
    #[error("unknown schedule {0:?}; use constant, linear, cosine or polynomial")]
    UnknownName(String),
    /// A number of the schedule is out of its range.
    #[error("schedule {schedule}: {setting} is {value}; it must be {allowed}")]
    OutOfRange {
        /// Name of the schedule.
        schedule: &'static str,
        /// Which number.
        setting: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
}

impl Kind {
    /// The name used on the command line and in files.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Constant => "constant",
            Kind::Linear => "linear",
            Kind::Cosine { .. } => "cosine",
            Kind::Polynomial { .. } => "polynomial",
        }
    }

    /// Checks the numbers that came from a user: minimum in 0..=1, at least one cycle, a finite power above 0.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let (minimum, cycles, power) = match *self {
            Kind::Constant | Kind::Linear => return Ok(()),
            Kind::Cosine { minimum, cycles } => (minimum, cycles, 1.0),
            Kind::Polynomial { power, minimum } => (minimum, 1, power),
        };
        let out_of_range =
            |setting, value, allowed| Err(ScheduleError::OutOfRange { schedule: self.name(), setting, value, allowed });
        if !(0.0..=1.0).contains(&minimum) {
            return out_of_range("minimum", minimum, "between 0 and 1, a fraction of the peak rate");
        }
        if cycles == 0 {
            return out_of_range("cycles", 0.0, "at least 1");
        }
        if !(power.is_finite() && power > 0.0) {
            return out_of_range("power", power, "a finite number above 0");
        }
        Ok(())
    }
}

impl FromStr for Kind {
    type Err = ScheduleError;

    /// The schedule of that name with its usual settings: minimum 0, one cycle, power 1.
    fn from_str(name: &str) -> Result<Self, ScheduleError> {
        match name {
            "constant" => Ok(Kind::Constant),
            "linear" => Ok(Kind::Linear),
            "cosine" => Ok(Kind::Cosine { minimum: 0.0, cycles: one_cycle() }),
            "polynomial" => Ok(Kind::Polynomial { power: unit_power(), minimum: 0.0 }),
            other => Err(ScheduleError::UnknownName(other.to_string())),
        }
    }
}

/// A curve laid over a run of known length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Shape after warm-up.
    pub kind: Kind,
    /// Optimizer steps of linear warm-up from 0.
    pub warmup_steps: u64,
    /// Optimizer steps of the whole run, warm-up included.
    pub total_steps: u64,
}

impl Schedule {
    /// The multiplier of the base learning rate for optimizer step `step`, counted from 0. Lies in 0..=1 when the kind
    /// passes [`Kind::check`].
    pub fn factor(&self, step: u64) -> f64 {
        let (warmup, total) = (self.warmup_steps, self.total_steps);
        if step < warmup {
            return step as f64 / warmup as f64;
        }
        let ended = step >= total;
        let decay_steps = total.saturating_sub(warmup).max(1) as f64;
        let progress = (step - warmup) as f64 / decay_steps;
        match self.kind {
            Kind::Constant => 1.0,
            Kind::Linear if ended => 0.0,
            Kind::Linear => (total - step) as f64 / decay_steps,
            Kind::Cosine { minimum, .. } | Kind::Polynomial { minimum, .. } if ended => minimum,
            Kind::Cosine { minimum, cycles } => {
                let within_cycle = (cycles as f64 * progress) % 1.0;
                minimum + (1.0 - minimum) * 0.5 * (1.0 + (PI * within_cycle).cos())
            }
            Kind::Polynomial { power, minimum } => minimum + (1.0 - minimum) * (1.0 - progress).powf(power),
        }
    }
}

/// The number of warm-up steps for a ratio of the run: `int(ratio * total)`, rounded towards 0, as the reference
/// fine-tuning script computes it (transformers' own `Trainer` rounds up). A negative or NaN ratio gives 0.
pub fn warmup_steps(ratio: f64, total: u64) -> u64 {
    (ratio * total as f64) as u64
}
