//! `train --seeds N`: one run after another from other seeds, and what they came to together. It must not know what a run does.

use super::ending::Finished;
use super::train::one_of_series;
use crate::exit::{Failure, usage};
use crate::results::comparison::Figure;
use crate::results::report::{bare, metric};
use crate::run::folder::{Kind, RESULTS, claim, clear, restarts_of, seed_folder};
use crate::settings::Resolved;
use ferrotune_train::metrics::{MetricName, Summary};
use ferrotune_train::store::replace_file;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;

/// Mean and spread of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Spread {
    metric: MetricName,
    mean: f64,
    /// Of the sample: over one less than the number of runs.
    standard_deviation: f64,
    lowest: f64,
    highest: f64,
}

/// Runs all seeds, each in a folder of its own. With `resume` each goes on from its newest checkpoint: one that had ended is measured again.
///
/// # Errors
/// Those of a run; nothing to resume; something else in the folder.
pub fn run(resolved: &Resolved, count: u64, resume: bool, overwrite: bool, stop: &AtomicBool) -> Result<(), Failure> {
    let path = &resolved.output;
    if resume && !(0..count).any(|n| restarts_of(&of_seed(resolved, n).output).is_some()) {
        return Err(usage(format!("--resume: {} holds no run of --seeds; start it without --resume", path.display())));
    }
    let _lock = claim(path, Kind::Seeds, resume, overwrite)?;
    let mut finished = Vec::new();
    for n in 0..count {
        let own = of_seed(resolved, n);
        println!("seed {} ({} of {count})", own.numbers.seed, n + 1);
        let begin = || if n == 0 && overwrite { clear(path) } else { Ok(()) };
        finished.push(one_of_series(own, resume, overwrite, stop, &begin)?);
        println!();
    }
    let summaries: Vec<&Summary> = finished.iter().filter_map(|run| run.summary.as_ref()).collect();
    let spreads = spreads(&summaries);
    let runs: Vec<Value> = finished.iter().map(Finished::to_json).collect();
    let results = json!({ "seeds": count, "runs": runs, "spread": spreads });
    replace_file(&path.join(RESULTS), format!("{results:#}\n").as_bytes())?;
    match finished[0].split {
        Some(split) => println!("{split} over {count} seeds: mean, standard deviation, lowest and highest"),
        None => println!("{count} seeds; nothing was measured: name --test, or hold out validation rows"),
    }
    for line in spreads.iter().map(line) {
        println!("{line}");
    }
    println!("results    {}", path.join(RESULTS).display());
    Ok(())
}

/// The run of a series with its seed number `n`, from 0, in a folder of its own.
pub fn of_seed(resolved: &Resolved, n: u64) -> Resolved {
    let mut own = resolved.clone();
    own.output = seed_folder(&resolved.output, n);
    own.numbers.seed = resolved.numbers.seed.wrapping_add(n);
    own.settings.output = Some(own.output.clone());
    (own.settings.seed, own.settings.seeds) = (Some(own.numbers.seed), None);
    own
}

fn spreads(summaries: &[&Summary]) -> Vec<Spread> {
    let Some(first) = summaries.first() else { return Vec::new() };
    let of = |&(name, _): &(MetricName, f64)| {
        let values: Vec<f64> = summaries.iter().map(|summary| summary.value(name)).collect();
        let Figure { value: mean, deviation } = Figure::of(&values);
        Spread {
            metric: name,
            mean,
            standard_deviation: deviation.expect("there are two seeds at least"),
            lowest: values.iter().copied().fold(f64::INFINITY, f64::min),
            highest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    };
    first.values.iter().map(of).collect()
}

fn line(spread: &Spread) -> String {
    let mean = metric(spread.metric, spread.mean);
    let [deviation, lowest, highest] =
        [spread.standard_deviation, spread.lowest, spread.highest].map(|value| bare(spread.metric, value));
    format!("{mean:<22} ± {deviation:<10} {lowest} to {highest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_those_of_a_sample() {
        let summary = |accuracy, loss| Summary {
            values: vec![(MetricName::Accuracy, accuracy), (MetricName::Loss, loss)],
            rows: 9,
        };
        let runs = [summary(0.8, 0.5), summary(0.9, 0.5), summary(0.7, 0.5)];
        let spreads = spreads(&runs.iter().collect::<Vec<_>>());
        let [accuracy, loss] = spreads[..] else { panic!("{spreads:?}") };
        assert!((accuracy.mean - 0.8).abs() < 1e-12 && (accuracy.standard_deviation - 0.1).abs() < 1e-12);
        assert_eq!((accuracy.lowest, accuracy.highest), (0.7, 0.9));
        assert_eq!((loss.mean, loss.standard_deviation), (0.5, 0.0));
        assert_eq!(line(&accuracy), "accuracy 80.00 %       ± 10.00 %    70.00 % to 90.00 %");
        let f1 = Spread { metric: MetricName::F1Macro, ..accuracy };
        assert_eq!(line(&f1), "macro F1 0.8000        ± 0.1000     0.7000 to 0.9000");
    }

    #[test]
    fn a_run_that_measured_nothing_has_no_spread() {
        assert_eq!(spreads(&[]), []);
    }
}
