//! The loop of a search: what is next, do it, write it down. Everything that it decides is a function of the study file, the plan and the seed, so
//! it goes on after a crash as it would have gone on without one. It must not know how a trial is trained.

use super::halving::{Goal, Halving, May, Next};
use super::sampler::{Method, suggest};
use super::space::{Settings, Space};
use super::study::{Entry, Origin, State, Study};
use crate::error::TrainError;

/// How a search goes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is searched.
    pub space: Space,
    /// How settings are chosen.
    pub method: Method,
    /// Determines what is chosen.
    pub seed: u64,
    /// How trials are thinned out.
    pub halving: Halving,
    /// Trials at most.
    pub trials: Option<u64>,
    /// Once trials took so many seconds, none is begun and none goes on from a rung; one goes to its end in any case.
    pub seconds: Option<f64>,
    /// What is searched, as it is without a search: the settings of the first trial.
    pub baseline: Settings,
}

/// How far a trial came.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// To its rung, where it waits with a checkpoint.
    ToRung {
        /// Optimizer steps done.
        step: u64,
        /// Those of the whole trial.
        steps: u64,
        /// The best value of the metric so far.
        value: f64,
        /// The loss there.
        loss: f64,
    },
    /// To its end, because that was its goal or came before it.
    ToEnd {
        /// Optimizer steps done.
        step: u64,
        /// Those of the whole trial.
        steps: u64,
        /// The metric of its best epoch.
        value: f64,
        /// The loss of that epoch.
        loss: f64,
        /// That epoch, from 1.
        epoch: u64,
    },
    /// Nowhere: why, one line.
    Nowhere(String),
}

/// Who trains trials.
pub trait Worker {
    /// What ends the search.
    type Error: From<TrainError>;

    /// Trains a trial up to a goal, from its checkpoint if it has one, and says how far it came and how many seconds that took. The value is a
    /// function of the settings and the goal alone.
    ///
    /// # Errors
    /// What ends the search; what is wrong with these settings alone is [`Came::Nowhere`].
    fn go(&mut self, study: &Study, trial: usize, goal: Goal) -> Result<(Came, f64), Self::Error>;

    /// Removes what a trial that is over needs no more. It may be called again.
    ///
    /// # Errors
    /// What ends the search.
    fn clear(&mut self, trial: usize) -> Result<(), Self::Error>;

    /// Is told of each event, after it is on the disk.
    ///
    /// # Errors
    /// What ends the search.
    fn wrote(&mut self, study: &Study, entry: &Entry) -> Result<(), Self::Error>;
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has as many trials as it may have.
    Trials,
    /// Its time is over.
    Time,
    /// There are no new settings in its space.
    Space,
}

/// Searches until the plan is done.
///
/// # Errors
/// Those of the worker; a study that cannot be written.
pub fn drive<W: Worker>(study: &mut Study, plan: &Plan, worker: &mut W) -> Result<End, W::Error> {
    let over = |trial: &super::study::Trial| trial.state != State::Waiting;
    for trial in (0..study.trials().len()).filter(|&n| over(&study.trials()[n])).collect::<Vec<_>>() {
        worker.clear(trial)?;
    }
    let mut exhausted = false;
    loop {
        if let Some(most) = plan.trials {
            // One by one: what is given up may make another one hopeless, and a crash between two must not change their order.
            while let Some(&trial) = plan.halving.hopeless(&study.standings(), most as usize).first() {
                prune(study, trial, worker)?;
            }
        }
        let in_time = plan.seconds.is_none_or(|most| study.seconds() < most);
        let is_full = plan.trials.is_some_and(|most| study.trials().len() as u64 >= most);
        let begin = in_time && !is_full && !exhausted;
        match plan.halving.next(&study.standings(), May { begin, promote: in_time, ends: ends(plan, begin) }) {
            Next::New => match new(study, plan) {
                Some(entry) => add(study, entry, worker)?,
                None => exhausted = true,
            },
            Next::Go(trial, goal) => {
                let (came, seconds) = worker.go(study, trial, goal)?;
                let rung = study.trials()[trial].standing.reached.len();
                let entry = match came {
                    Came::ToRung { step, steps, value, loss } => {
                        Entry::Rung { trial, rung, step, steps, value, loss, seconds }
                    }
                    Came::ToEnd { step, steps, value, loss, epoch } => {
                        Entry::Finished { trial, step, steps, value, loss, epoch, seconds }
                    }
                    Came::Nowhere(why) => Entry::Failed { trial, why, seconds },
                };
                let ended = !matches!(entry, Entry::Rung { .. });
                add(study, entry, worker)?;
                if ended {
                    worker.clear(trial)?;
                }
            }
            Next::Done => {
                for trial in (0..study.trials().len()).filter(|&n| !over(&study.trials()[n])).collect::<Vec<_>>() {
                    prune(study, trial, worker)?;
                }
                return Ok(match (is_full, in_time) {
                    (true, _) => End::Trials,
                    (_, false) => End::Time,
                    _ => End::Space,
                });
            }
        }
    }
}

/// How many trials may go to their end. Where their number is known that long way is for the best of all, and so it waits for the last one; and it
/// is for no more of them than go it in synchronous halving. Before it, trials are promoted as soon as they are among the best, so that more of
/// them are than the reduction says.
fn ends(plan: &Plan, begin: bool) -> usize {
    match (plan.trials, plan.seconds) {
        (Some(_), None) if begin => 0,
        (Some(trials), None) => {
            let factor = (plan.halving.reduction as f64).powi(plan.halving.rungs as i32);
            ((trials as f64 / factor) as usize).max(1)
        }
        _ => usize::MAX,
    }
}

/// The trials, best first.
pub fn ranked(study: &Study, halving: &Halving) -> Vec<usize> {
    halving.order(&study.standings())
}

/// The next trial.
fn new(study: &Study, plan: &Plan) -> Option<Entry> {
    let trial = study.trials().len();
    if trial == 0 {
        return Some(Entry::Trial { trial, origin: Origin::Baseline, settings: plan.baseline.clone() });
    }
    let ranked = ranked(study, &plan.halving);
    let earlier: Vec<&Settings> = ranked.iter().map(|&n| &study.trials()[n].settings).collect();
    let (settings, method) = suggest(plan.method, &plan.space, plan.seed, trial as u64, &earlier)?;
    Some(Entry::Trial { trial, origin: method.into(), settings })
}

fn add<W: Worker>(study: &mut Study, entry: Entry, worker: &mut W) -> Result<(), W::Error> {
    study.add(entry.clone())?;
    worker.wrote(study, &entry)
}

/// First written, then cleared: who is killed in between clears when it goes on.
fn prune<W: Worker>(study: &mut Study, trial: usize, worker: &mut W) -> Result<(), W::Error> {
    add(study, Entry::Pruned { trial }, worker)?;
    worker.clear(trial)
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
