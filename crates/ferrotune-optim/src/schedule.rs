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
//! | slanted triangular | rises from `1/r` to 1 in `w` steps, then `(1 + (1 - p) * (r - 1)) / r`, `r` the ratio |
//! | one cycle | a cosine from `1/d` to 1 at step `w - 1`, then one down to `1/(d*f)` at step `t - 1` |
//! | past the end, `s >= t` | `1`, `0`, `m`, `m`, `1/r`, `1/(d*f)` |
//!
//! These are the lambdas behind `get_constant_schedule_with_warmup`, `get_linear_schedule_with_warmup`,
//! `get_cosine_schedule_with_warmup` (half a period), `get_cosine_with_hard_restarts_schedule_with_warmup` and
//! `get_polynomial_decay_schedule_with_warmup` of Hugging Face transformers (`optimization.py`). Two differences: their cosine
//! rises again after the last step, ours stays at the minimum; their polynomial ends at a rate, ours at a share of the peak.
//!
//! Slanted triangular is that of ULMFiT (Howard and Ruder 2018, <https://arxiv.org/abs/1801.06146>, section 3.2), with `w` for its `cut`.
//! One cycle (Smith 2018, <https://arxiv.org/abs/1803.09820>) follows PyTorch's `OneCycleLR` with `cycle_momentum=False`: momentum stays
//! as it is. Both rise along their own curve, so `w` shapes it and is no separate phase.

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
    /// A short straight rise from `1/ratio`, a long straight fall back to it.
    #[serde(rename = "slanted-triangular")]
    SlantedTriangular {
        /// How many times the lowest rate is smaller than the peak; above 1.
        #[serde(default = "usual_ratio")]
        ratio: f64,
    },
    /// Cosines up from `1/divisor` and down to `1/(divisor*final_divisor)`.
    #[serde(rename = "one-cycle")]
    OneCycle {
        /// How many times the first rate is smaller than the peak; at least 1.
        #[serde(default = "usual_divisor")]
        divisor: f64,
        /// How many times the last rate is smaller than the first; at least 1.
        #[serde(default = "usual_final_divisor")]
        final_divisor: f64,
    },
}

fn usual_ratio() -> f64 {
    32.0
}

fn usual_divisor() -> f64 {
    25.0
}

fn usual_final_divisor() -> f64 {
    1e4
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
    /// The name is none of the six.
    #[error("unknown schedule {0:?}; use constant, linear, cosine, polynomial, slanted-triangular or one-cycle")]
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
            Kind::SlantedTriangular { .. } => "slanted-triangular",
            Kind::OneCycle { .. } => "one-cycle",
        }
    }

    /// Checks the numbers that came from a user: minimum in 0..=1, at least one cycle, a finite power above 0, a ratio above 1,
    /// divisors of at least 1.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let out_of_range =
            |setting, value, allowed| Err(ScheduleError::OutOfRange { schedule: self.name(), setting, value, allowed });
        let (minimum, cycles, power) = match *self {
            Kind::Constant | Kind::Linear => return Ok(()),
            Kind::Cosine { minimum, cycles } => (minimum, cycles, 1.0),
            Kind::Polynomial { power, minimum } => (minimum, 1, power),
            Kind::SlantedTriangular { ratio } if ratio.is_finite() && ratio > 1.0 => return Ok(()),
            Kind::SlantedTriangular { ratio } => return out_of_range("ratio", ratio, "a finite number above 1"),
            Kind::OneCycle { divisor, final_divisor } => {
                for (setting, value) in [("divisor", divisor), ("final divisor", final_divisor)] {
                    if !(value.is_finite() && value >= 1.0) {
                        return out_of_range(setting, value, "a finite number of at least 1");
                    }
                }
                return Ok(());
            }
        };
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

    /// The schedule of that name with its usual settings: minimum 0, one cycle, power 1, ratio 32, divisors 25 and 10000.
    fn from_str(name: &str) -> Result<Self, ScheduleError> {
        match name {
            "constant" => Ok(Kind::Constant),
            "linear" => Ok(Kind::Linear),
            "cosine" => Ok(Kind::Cosine { minimum: 0.0, cycles: one_cycle() }),
            "polynomial" => Ok(Kind::Polynomial { power: unit_power(), minimum: 0.0 }),
            "slanted-triangular" => Ok(Kind::SlantedTriangular { ratio: usual_ratio() }),
            "one-cycle" => Ok(Kind::OneCycle { divisor: usual_divisor(), final_divisor: usual_final_divisor() }),
            other => Err(ScheduleError::UnknownName(other.to_string())),
        }
    }
}

/// A curve laid over a run of known length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Shape after warm-up.
    pub kind: Kind,
    /// Optimizer steps of linear warm-up from 0, or of the rise of a schedule that has its own.
    pub warmup_steps: u64,
    /// Optimizer steps of the whole run, warm-up included.
    pub total_steps: u64,
}

impl Schedule {
    /// The multiplier of the base learning rate for optimizer step `step`, counted from 0. Lies in 0..=1 when the kind
    /// passes [`Kind::check`].
    pub fn factor(&self, step: u64) -> f64 {
        let (warmup, total) = (self.warmup_steps, self.total_steps);
        match self.kind {
            Kind::SlantedTriangular { ratio } => return self.slanted_triangular(step, ratio),
            Kind::OneCycle { divisor, final_divisor } => return self.one_cycle(step, divisor, final_divisor),
            _ => {}
        }
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
            Kind::SlantedTriangular { .. } | Kind::OneCycle { .. } => unreachable!("have their own curves"),
        }
    }

    fn slanted_triangular(&self, step: u64, ratio: f64) -> f64 {
        let (step, cut, total) = (step as f64, self.warmup_steps as f64, self.total_steps as f64);
        let height = if step < cut { step / cut } else { 1.0 - (step - cut) / (total - cut).max(1.0) };
        (1.0 + height.max(0.0) * (ratio - 1.0)) / ratio
    }

    fn one_cycle(&self, step: u64, divisor: f64, final_divisor: f64) -> f64 {
        let (step, last) = (step as f64, self.total_steps as f64 - 1.0);
        let (first, lowest, top) = (1.0 / divisor, 1.0 / (divisor * final_divisor), self.warmup_steps as f64 - 1.0);
        let cosine = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * (1.0 + (PI * share).cos());
        if step > last {
            return lowest;
        }
        if step <= top {
            // A rise of a single step has its peak there.
            return if top > 0.0 { cosine(first, 1.0, step / top) } else { 1.0 };
        }
        cosine(1.0, lowest, (step - top) / (last - top))
    }
}

/// The number of warm-up steps for a ratio of the run: `int(ratio * total)`, rounded towards 0, as the reference
/// fine-tuning script computes it (transformers' own `Trainer` rounds up). A negative or NaN ratio gives 0.
pub fn warmup_steps(ratio: f64, total: u64) -> u64 {
    (ratio * total as f64) as u64
}
