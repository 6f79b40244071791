//! What was typed after `ferrotune search`.

use super::{EarlierRun, TrainSettings};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// `ferrotune search`.
#[derive(Args)]
pub struct SearchArgs {
    /// What all trials have, and what the first trial is: the settings of `train`.
    #[command(flatten)]
    pub settings: TrainSettings,
    /// Read settings from this TOML file, and from its table `[search]` what may be chosen; flags win [default: ferrotune.toml if it exists].
    #[arg(long, value_name = "FILE", help_heading = "Search")]
    pub config: Option<PathBuf>,
    /// Trials at most; the first one has the settings as they were said [default: 20 if there is no --minutes].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000), help_heading = "Search")]
    pub trials: Option<u64>,
    /// Begin and promote no trial after so many minutes of training; what runs goes on to its rung, and one trial to its end.
    #[arg(long, value_name = "M", value_parser = minutes, help_heading = "Search")]
    pub minutes: Option<f64>,
    /// How settings are chosen [default: tpe].
    #[arg(long, value_enum, help_heading = "Search")]
    pub sampler: Option<SamplerName>,
    /// Whether trials that are behind are given up early [default: halving].
    #[arg(long, value_enum, help_heading = "Search")]
    pub pruning: Option<PruningName>,
    /// Of so many trials at a rung the best one goes on; the next rung is so many times as far [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=100), help_heading = "Search")]
    pub reduction: Option<u64>,
    /// The first rung: 10% of the steps of a trial, 1epoch, or 200steps [default: one over the square of --reduction, 11.1%].
    #[arg(long, value_name = "AMOUNT", help_heading = "Search")]
    pub first_rung: Option<Amount>,
    /// Train the best settings anew from so many seeds, into refit/ of --output; --test rows are measured there and nowhere before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000), help_heading = "Search")]
    pub refit_seeds: Option<u64>,
    /// What becomes of an earlier study in --output.
    #[command(flatten)]
    pub earlier: EarlierRun,
}

/// How settings are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SamplerName {
    /// Where earlier trials were good and not where they were bad (tree-structured Parzen estimator).
    Tpe,
    /// Evenly over each range.
    Random,
    /// All of a grid, `points` values of each range (3 unless said).
    Grid,
}

/// Whether trials are given up early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PruningName {
    /// Asynchronous successive halving: at each rung the best go on, exactly from where they were.
    Halving,
    /// Every trial goes to its end.
    Off,
}

/// How far into a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// This share of its steps.
    Share(f64),
    /// So many epochs.
    Epochs(f64),
    /// So many optimizer steps.
    Steps(f64),
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Amount, String> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = text[..text.len() - unit.len()].parse::<f64>().ok().filter(|number| *number > 0.0);
        match (number, unit) {
            (Some(number), "%") if number < 100.0 => Ok(Amount::Share(number / 100.0)),
            (Some(number), "epoch" | "epochs") => Ok(Amount::Epochs(number)),
            (Some(number), "step" | "steps") if number.fract() == 0.0 => Ok(Amount::Steps(number)),
            _ => Err("write a share below 100 % such as 10%, or 1epoch, or 200steps".to_string()),
        }
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| minutes.is_finite() && *minutes > 0.0);
    minutes.ok_or_else(|| "write a number above 0".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_unit() {
        for (text, expected) in [
            ("10%", Some(Amount::Share(0.1))),
            ("11.5%", Some(Amount::Share(0.115))),
            ("1epoch", Some(Amount::Epochs(1.0))),
            ("0.5epochs", Some(Amount::Epochs(0.5))),
            ("200steps", Some(Amount::Steps(200.0))),
            ("1step", Some(Amount::Steps(1.0))),
            ("100%", None),
            ("0%", None),
            ("1.5steps", None),
            ("10", None),
            ("epoch", None),
            ("-1epoch", None),
            ("1.2.3%", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
