//! `--budget`: of all cheaper runs the one that gives up least and fits into the time. It must not measure, read rows, or know a model.

use crate::exit::{Failure, usage};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Of the time that is left, this much is planned with: a machine is not equally fast all the time.
pub const PLANNED: f64 = 0.9;

/// The shortest budget that can be kept: to read, to measure and to write takes some seconds.
const SHORTEST: Duration = Duration::from_secs(10);

/// The time that a run was given, and what came of it; for `results.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Budget {
    /// What was asked for.
    pub seconds: f64,
    /// What the chosen run was expected to need in all.
    pub foreseen_seconds: f64,
    /// What was given up for it, a phrase each; nothing if the run fits as it was said.
    pub given_up: Vec<String>,
    /// When the command began; nothing where an earlier one chose, and this one goes on with the run.
    #[serde(skip)]
    pub begin: Option<Instant>,
}

impl Budget {
    /// What was foreseen beside what it took, for a person.
    pub fn line(&self) -> String {
        let Some(begin) = self.begin else {
            return format!(
                "budget     {}, with which the run began; it was interrupted and went on",
                Shown(self.seconds)
            );
        };
        let taken = begin.elapsed().as_secs_f64();
        let late = if taken > self.seconds { ": longer than asked for" } else { "" };
        format!(
            "budget     {} of {} taken, {} foreseen{late}",
            Shown(taken),
            Shown(self.seconds),
            Shown(self.foreseen_seconds)
        )
    }
}

/// `20m`, `90s`, `1h 30m`.
///
/// # Errors
/// No time, or one too short to measure in: exit code 2.
pub fn parse(text: &str) -> Result<Duration, Failure> {
    let time = humantime::parse_duration(text)
        .map_err(|error| usage(format!("--budget is {text:?}: {error}; write it as 90s, 20m or 1h 30m")))?;
    if time < SHORTEST {
        return Err(usage(format!("--budget is {text}; it must be at least {SHORTEST:?}")));
    }
    Ok(time)
}

/// How much of an encoder moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What was said.
    AsSaid,
    /// So many layers from the top, and the head.
    Top(usize),
    /// The head alone.
    Head,
}

/// What the time of a step depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// What moves.
    pub depth: Depth,
    /// Tokens of a row at most.
    pub max_length: usize,
}

/// Seconds, as measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Until the model is ready.
    pub load: f64,
    /// An optimizer step of the first epoch, in which a frozen bottom is computed.
    pub first_step: f64,
    /// One of a later epoch.
    pub later_step: f64,
    /// A row that is evaluated, in the first epoch and after training.
    pub first_row: f64,
    /// A row that is evaluated in a later epoch.
    pub later_row: f64,
    /// A checkpoint.
    pub checkpoint: f64,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Optimizer steps of an epoch.
    pub epoch_steps: u64,
    /// Epochs, as said.
    pub epochs: u64,
    /// The most steps in all, if that was said.
    pub max_steps: Option<u64>,
    /// Steps from one checkpoint to the next, besides those after epochs, if that was said.
    pub checkpoint_every: Option<u64>,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
    /// Seconds to read all rows, to audit them, to cut them into tokens and to fit baselines.
    pub reading: f64,
    /// Layers of the encoder.
    pub layers: usize,
    /// Numbers that the model gives a row or word.
    pub labels: usize,
}

/// A length limit, and the share of all tokens that is left under it.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Tokens of a row at most.
    pub max_length: usize,
    /// Share of the tokens under the limit that was said.
    pub kept: f64,
}

/// What may be given up.
#[derive(Clone, Debug)]
pub struct Open {
    /// What may move, [`Depth::AsSaid`] first.
    pub depths: Vec<Depth>,
    /// Limits, the one that was said first.
    pub lengths: Vec<Length>,
    /// The fewest epochs that there may be; with 0, a part of one too.
    pub fewest_epochs: u64,
}

/// How often the rows are gone through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passes {
    /// So many epochs.
    Epochs(u64),
    /// One epoch that ends after so many steps.
    Part(u64),
}

/// One way to run.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// What a step is like.
    pub shape: Shape,
    /// Share of the tokens that is left.
    pub kept: f64,
    /// How often.
    pub passes: Passes,
    /// Seconds that are still needed for it, measured for this shape.
    pub seconds: f64,
}

/// The cheapest way is too long.
#[derive(Debug)]
pub struct DoesNotFit {
    /// What it needs.
    pub seconds: f64,
}

/// Chooses: of the ways that fit, the one with the least sacrifice, and of equal ones the fastest. `measure` is called for the shape as said, and then
/// for each shape that looks best until the best one is measured; `left` says how many seconds there are, less with each measurement.
///
/// # Errors
/// What `measure` says; no way fits.
pub fn choose<E>(
    amounts: &Amounts,
    open: &Open,
    left: impl Fn() -> f64,
    mut measure: impl FnMut(Shape) -> Result<Costs, E>,
) -> Result<Result<Way, DoesNotFit>, E> {
    let as_said = Shape { depth: open.depths[0], max_length: open.lengths[0].max_length };
    let mut measured = vec![(as_said, measure(as_said)?)];
    loop {
        let (_, full) = measured[0];
        let known = |shape: Shape| measured.iter().find(|(other, _)| *other == shape).map(|&(_, costs)| costs);
        let mut ways = Vec::new();
        for &depth in &open.depths {
            for &Length { max_length, kept } in &open.lengths {
                let shape = Shape { depth, max_length };
                let costs = known(shape).unwrap_or_else(|| guessed(full, depth, kept, amounts.layers));
                ways.extend(passes(amounts, open.fewest_epochs).into_iter().map(|passes| {
                    let seconds = seconds(amounts, &costs, passes);
                    Way { shape, kept, passes, seconds }
                }));
            }
        }
        let time = PLANNED * left();
        let fits = ways.iter().filter(|way| way.seconds <= time);
        let ranked = |a: &&Way, b: &&Way| {
            let key = |way: &Way| (sacrifice(amounts, way), way.seconds);
            let ((a, a_seconds), (b, b_seconds)) = (key(a), key(b));
            a.total_cmp(&b).then(a_seconds.total_cmp(&b_seconds))
        };
        let fastest = ways.iter().min_by(|a, b| a.seconds.total_cmp(&b.seconds)).expect("there is one way at least");
        let (way, does_fit) = fits.min_by(ranked).map_or((fastest, false), |way| (way, true));
        if known(way.shape).is_none() {
            measured.push((way.shape, measure(way.shape)?));
            continue;
        }
        return Ok(if does_fit { Ok(*way) } else { Err(DoesNotFit { seconds: way.seconds }) });
    }
}

/// All epochs that were said, fewer, and parts of one.
fn passes(amounts: &Amounts, fewest: u64) -> Vec<Passes> {
    let mut all = vec![Passes::Epochs(amounts.epochs)];
    all.extend((fewest.max(1)..amounts.epochs).rev().map(Passes::Epochs));
    if fewest == 0 {
        let parts = [2, 4, 8, 16].map(|part| amounts.epoch_steps / part);
        all.extend(parts.into_iter().filter(|steps| *steps > 0).map(Passes::Part));
    }
    all
}

/// Optimizer steps of a way, and evaluations on the way.
fn steps(amounts: &Amounts, passes: Passes) -> (u64, u64) {
    let (steps, epochs) = match passes {
        Passes::Epochs(epochs) => (epochs * amounts.epoch_steps, epochs),
        Passes::Part(steps) => (steps, 1),
    };
    let steps = steps.min(amounts.max_steps.unwrap_or(u64::MAX));
    (steps, steps.div_ceil(amounts.epoch_steps.max(1)).min(epochs))
}

/// Seconds of a whole run, reading and the measurements at its end included.
fn seconds(amounts: &Amounts, costs: &Costs, passes: Passes) -> f64 {
    let (steps, epochs) = steps(amounts, passes);
    let first = steps.min(amounts.epoch_steps);
    let training = first as f64 * costs.first_step + (steps - first) as f64 * costs.later_step;
    let (validation, test) = (amounts.validation as f64, amounts.test as f64);
    let on_the_way = validation * (costs.first_row + epochs.saturating_sub(1) as f64 * costs.later_row);
    // After training, without the cache of a frozen bottom; and the model is written once more.
    let at_the_end = (validation + test) * costs.first_row + costs.checkpoint;
    let checkpoints = epochs + amounts.checkpoint_every.map_or(0, |every| steps / every);
    amounts.reading + costs.load + training + on_the_way + checkpoints as f64 * costs.checkpoint + at_the_end
}

/// The costs of a shape that was not measured yet. Backward is twice forward; of a frozen layer there is forward alone, once.
fn guessed(full: Costs, depth: Depth, kept: f64, layers: usize) -> Costs {
    let moves = match depth {
        Depth::AsSaid => 1.0,
        Depth::Top(top) => top as f64 / layers as f64,
        Depth::Head => 0.0,
    };
    Costs {
        first_step: full.first_step * kept * (moves + (1.0 - moves) / 3.0),
        later_step: full.later_step * kept * moves.max(0.02),
        first_row: full.first_row * kept,
        later_row: full.later_row * kept * moves.max(0.02),
        ..full
    }
}

/// About how many points of accuracy a way gives up. Curves through runs of MiniLM on SST-2 and clinc150: benches/ACCURACY.md, "Giving up time".
fn sacrifice(amounts: &Amounts, way: &Way) -> f64 {
    let depth = match way.shape.depth {
        Depth::AsSaid => 0.0,
        Depth::Top(top) => 12.0 * (1.0 - top as f64 / amounts.layers as f64).powi(6),
        Depth::Head => 10.0,
    };
    let [all, left] = [Passes::Epochs(amounts.epochs), way.passes].map(|passes| steps(amounts, passes).0.max(1) as f64);
    // A halving hurts a run of few steps more than one of many, and many labels want many steps.
    let passes = 9.2 * (amounts.labels as f64).powf(0.6) / left.sqrt() * (all / left).log2();
    depth + passes + 18.0 * (1.0 - way.kept)
}

/// Limits that keep most tokens of rows of these lengths, the first as said: 95 and 85 and 70 of 100 tokens, in whole eights.
pub fn lengths(row_lengths: &[usize], said: usize) -> Vec<Length> {
    let kept = |limit: usize| {
        let tokens = |limit: usize| row_lengths.iter().map(|&length| length.min(limit)).sum::<usize>() as f64;
        tokens(limit) / tokens(said).max(1.0)
    };
    let mut found = vec![Length { max_length: said, kept: 1.0 }];
    for share in [0.95, 0.85, 0.7] {
        let limit = (1..).map(|n| 8 * n).find(|&limit| limit >= said || kept(limit) >= share).expect("limits grow");
        if limit < found.last().expect("has the first").max_length {
            found.push(Length { max_length: limit, kept: kept(limit) });
        }
    }
    found
}

/// Fewer layers that may move: half of them, two, one, none.
pub fn depths(layers: usize) -> Vec<Depth> {
    let mut tops = vec![layers / 2, 2, 1];
    tops.retain(|&top| top > 0 && top < layers);
    tops.sort_unstable_by(|a, b| b.cmp(a));
    tops.dedup();
    [Depth::AsSaid].into_iter().chain(tops.into_iter().map(Depth::Top)).chain([Depth::Head]).collect()
}

/// A time for a person.
pub struct Shown(pub f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(Duration::from_secs(self.0.max(0.0).ceil() as u64)))
    }
}
