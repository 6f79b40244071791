//! What the curves of a finished run say, each with the figure that shows it and the flag that treats it. It must not know models, files, or
//! how a run works: it reads numbers.

use crate::metrics::{MetricName, Report, nan_if_null};
use serde::{Deserialize, Serialize};

/// One epoch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss of its steps, without penalties.
    pub train_loss: f64,
    /// What the evaluation after it said, if there was one.
    pub validation: Option<Measured>,
}

/// What an evaluation said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The loss, of numbers the squared error.
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// The metric that chooses the best epoch.
    #[serde(deserialize_with = "nan_if_null")]
    pub value: f64,
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Its epochs in order, the last one perhaps cut short.
    pub epochs: &'a [Epoch],
    /// The metric that chose the best epoch.
    pub metric: MetricName,
    /// The epoch that was kept, from 1.
    pub best_epoch: u64,
    /// The report of the best epoch.
    pub validation: Option<&'a Report>,
    /// The mean loss of the best answer that is the same for all rows, if losses of steps can be compared with it.
    pub constant_loss: Option<f64>,
    /// Training rows.
    pub rows: usize,
    /// Those of them of which something was cut off.
    pub truncated: usize,
    /// Their length limit in tokens.
    pub max_length: usize,
}

/// A rule that found something.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// Its name.
    pub rule: &'static str,
    /// What was seen and what can be done, one line.
    pub message: String,
}

/// A validation loss so much above its lowest is over-fitting. Runs of MiniLM on SST-2 that were stopped in time ended below 1.2.
const LOSS_RISE: f64 = 1.3;
/// A training loss above this share of the best constant answer's has learned little.
const LITTLE_LEARNED: f64 = 0.8;
/// Between two epochs a metric moves by chance; a change of so many standard errors is none.
const STANDARD_ERRORS: f64 = 2.0;
/// A training loss that grows so much from one epoch to the next is no noise of order or dropout.
const TRAIN_RISE: f64 = 1.25;
/// A class so many times larger than another, with ...
const IMBALANCE: f64 = 5.0;
/// ... a macro F1 so far below accuracy, is neglect of small classes.
const F1_GAP: f64 = 0.05;
/// Rows cut short: more than this share is worth a word.
const TRUNCATED: f64 = 0.05;

/// What there is to say about a run.
pub fn advise(facts: &Facts<'_>) -> Vec<Advice> {
    [over_fitting, under_fitting, still_improving, unstable, imbalanced, truncated]
        .iter()
        .filter_map(|rule| rule(facts))
        .collect()
}

fn advice(rule: &'static str, message: String) -> Option<Advice> {
    Some(Advice { rule, message })
}

fn measured<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (u64, Measured)> + 'a {
    (1u64..).zip(facts.epochs).filter_map(|(epoch, point)| Some((epoch, point.validation?)))
}

/// The standard error of a share of rows, for metrics that are about one; none for others.
fn standard_error(facts: &Facts<'_>, value: f64) -> Option<f64> {
    let rows = facts.validation?.summary().rows as f64;
    let is_share = matches!(facts.metric, MetricName::Accuracy | MetricName::F1Macro | MetricName::F1Micro);
    (is_share && rows > 0.0).then(|| (value * (1.0 - value) / rows).max(0.0).sqrt())
}

fn over_fitting(facts: &Facts<'_>) -> Option<Advice> {
    let (first, last) = (facts.epochs.first()?, facts.epochs.last()?);
    let (lowest_epoch, lowest) = measured(facts).min_by(|a, b| a.1.loss.total_cmp(&b.1.loss))?;
    let (last_epoch, ended) = measured(facts).last()?;
    // A rising loss under a metric that still improves is confidence, and harmless to who wants labels alone.
    let was_better = facts.best_epoch < last_epoch;
    if !(was_better && ended.loss > LOSS_RISE * lowest.loss && last.train_loss < first.train_loss) {
        return None;
    }
    advice(
        "over-fitting",
        format!(
            "validation loss rose from {:.3} after epoch {lowest_epoch} to {:.3} after epoch {last_epoch} while the training loss fell to {:.3}: the \
             model learns rows by heart; try fewer --epochs or --patience 2, --freeze all-but.2, --label-smoothing 0.1 or more rows",
            lowest.loss, ended.loss, last.train_loss
        ),
    )
}

fn under_fitting(facts: &Facts<'_>) -> Option<Advice> {
    let (last, constant) = (facts.epochs.last()?, facts.constant_loss.filter(|&loss| loss > 0.0)?);
    if last.train_loss < LITTLE_LEARNED * constant {
        return None;
    }
    advice(
        "under-fitting",
        format!(
            "the training loss of the last epoch is {:.3}, one answer for all rows gives {constant:.3}: little was learned; try a higher --lr (small \
             encoders want 1e-4 and more), more --epochs, or fewer frozen layers",
            last.train_loss
        ),
    )
}

/// The best epoch is the last, and it was clearly better than all before it.
fn still_improving(facts: &Facts<'_>) -> Option<Advice> {
    let (last_epoch, last) = measured(facts).last()?;
    let better = |a: f64, b: f64| if facts.metric.better(a, b) { a } else { b };
    let before = measured(facts).filter(|(epoch, _)| *epoch < last_epoch).map(|(_, m)| m.value).reduce(better)?;
    let gain = (last.value - before).abs();
    let noise = standard_error(facts, last.value).unwrap_or(0.02 * before.abs());
    if facts.best_epoch != last_epoch || !facts.metric.better(last.value, before) || gain <= noise {
        return None;
    }
    advice(
        "still improving",
        format!(
            "{} went from {before:.4} to {:.4} in the last epoch: the run ended too early; try --epochs {}",
            facts.metric.name(),
            last.value,
            2 * last_epoch
        ),
    )
}

fn unstable(facts: &Facts<'_>) -> Option<Advice> {
    let flags = "try a lower --lr, a longer --warmup, --ema 0.99 or --average-best 3";
    for (epoch, pair) in (2u64..).zip(facts.epochs.windows(2)) {
        let (before, after) = (pair[0].train_loss, pair[1].train_loss);
        if after > TRAIN_RISE * before && after > 0.1 {
            let message = format!(
                "the training loss rose from {before:.3} to {after:.3} in epoch {epoch}: the steps are too large; {flags}"
            );
            return advice("unstable", message);
        }
    }
    let points: Vec<(u64, Measured)> = measured(facts).collect();
    // Down and up again: a fall that stays is over-fitting.
    points.windows(3).find_map(|three| {
        let [before, now, after] = [0, 1, 2].map(|n: usize| three[n].1.value);
        let noise = standard_error(facts, now)?;
        if (before - now).min(after - now) <= STANDARD_ERRORS * noise {
            return None;
        }
        let (name, epoch) = (facts.metric.name(), three[1].0);
        let fell =
            format!("{name} fell from {before:.4} to {now:.4} in epoch {epoch} and rose to {after:.4} in the next");
        advice("unstable", format!("{fell}: more than chance; {flags}"))
    })
}

fn imbalanced(facts: &Facts<'_>) -> Option<Advice> {
    let Report::Classification(report) = facts.validation? else { return None };
    let present = || report.per_class.iter().filter(|class| class.support > 0);
    let large = present().max_by_key(|class| class.support)?;
    let small = present().min_by_key(|class| class.support)?;
    let ratio = large.support as f64 / small.support as f64;
    let gap = report.accuracy - report.f1_macro;
    if ratio < IMBALANCE || gap < F1_GAP {
        return None;
    }
    let worst = present().min_by(|a, b| a.f1.total_cmp(&b.f1))?;
    advice(
        "imbalanced",
        format!(
            "{:?} has {ratio:.0} times the rows of {:?}, and macro F1 ({:.3}) is {gap:.3} below accuracy; worst is {:?} with {:.3}: try --class-weights \
             auto or --balanced-sampling on, and --metric f1_macro",
            large.name, small.name, report.f1_macro, worst.name, worst.f1
        ),
    )
}

fn truncated(facts: &Facts<'_>) -> Option<Advice> {
    let share = facts.truncated as f64 / facts.rows.max(1) as f64;
    if share <= TRUNCATED {
        return None;
    }
    advice(
        "truncated",
        format!(
            "{:.0} % of the training rows are longer than {} tokens and were cut: what decides may stand behind; try a larger --max-length, or \
             --long-texts head-tail, or windows for single texts",
            100.0 * share,
            facts.max_length
        ),
    )
}

#[cfg(test)]
mod tests;
