//! Asynchronous successive halving (ASHA) on one worker: which trial goes on, and how far. Li et al. 2020, "A System for Massively Parallel
//! Hyperparameter Tuning", <https://arxiv.org/abs/1810.05934>, algorithm 2. A pure function of what trials have reached; it must not know settings
//! or files.

use crate::metrics::MetricName;
use std::cmp::Ordering;

/// How trials are thinned out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Halving {
    /// Of so many trials at a rung one goes on. At least 2.
    pub reduction: u64,
    /// Rungs before the end of a trial; with none every trial goes to its end.
    pub rungs: usize,
    /// The metric at the rungs.
    pub metric: MetricName,
}

/// How far a trial is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The metric at each rung that it reached.
    pub reached: Vec<f64>,
    /// The metric at its end.
    pub finished: Option<f64>,
    /// The loss at each rung that it reached, and at its end: it decides between equal values, as accuracies of a beginning often are.
    pub losses: Vec<f64>,
    /// It does not go on: it failed, or was given up.
    pub out: bool,
}

impl Standing {
    /// Metric and loss at a rung; of one that ended before, those of its end.
    fn at(&self, rung: usize) -> Option<(f64, f64)> {
        let value = self.reached.get(rung).copied().or(self.finished)?;
        Some((value, self.losses.get(rung).or(self.losses.last()).copied().unwrap_or(f64::NAN)))
    }

    fn waits(&self) -> bool {
        self.finished.is_none() && !self.out
    }
}

/// How far a trial is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To this rung.
    Rung(usize),
    /// To its end.
    End,
}

/// What may be done now. A trial that was begun goes to its first goal in any case, and at least one goes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct May {
    /// There may be new trials.
    pub begin: bool,
    /// Trials may go on from a rung.
    pub promote: bool,
    /// So many in all may have gone on from the last one, which is the longest way.
    pub ends: usize,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A new trial is chosen.
    New,
    /// This trial goes on.
    Go(usize, Goal),
    /// Nothing.
    Done,
}

impl Halving {
    /// What is done next.
    pub fn next(&self, trials: &[Standing], may: May) -> Next {
        if let Some(begun) = trials.iter().position(|trial| trial.waits() && trial.reached.is_empty()) {
            return Next::Go(begun, self.goal(0));
        }
        if may.promote {
            for rung in (0..self.rungs).rev() {
                let ranked = self.ranked(trials, rung);
                let most = if rung + 1 == self.rungs { may.ends } else { usize::MAX };
                let quota = (ranked.len() / self.reduction as usize).min(most);
                let waits = |&&trial: &&usize| trials[trial].waits() && trials[trial].reached.len() == rung + 1;
                if let Some(&trial) = ranked[..quota].iter().find(waits) {
                    return Next::Go(trial, self.goal(rung + 1));
                }
            }
        }
        if may.begin {
            return Next::New;
        }
        if trials.iter().all(|trial| trial.finished.is_none())
            && let Some(&trial) = self.order(trials).iter().find(|&&trial| trials[trial].waits())
        {
            return Next::Go(trial, self.goal(trials[trial].reached.len()));
        }
        Next::Done
    }

    /// Trials that wait at a rung and will not go on, however the others come out, if there are `most` trials at last.
    pub fn hopeless(&self, trials: &[Standing], most: usize) -> Vec<usize> {
        let mut hopeless = Vec::new();
        for rung in 0..self.rungs {
            // All may still come here but those that ended below.
            let missing = trials.iter().filter(|trial| trial.out && trial.at(rung).is_none()).count();
            let quota = (most.max(trials.len()) - missing) / self.reduction as usize;
            let ranked = self.ranked(trials, rung);
            let beyond = ranked.iter().skip(quota.max(1));
            hopeless.extend(beyond.filter(|&&n| trials[n].waits() && trials[n].reached.len() == rung + 1));
        }
        hopeless.sort_unstable();
        hopeless
    }

    /// All trials, best first: those that came to their end, then by how far they came, and each of these by the metric there; those that
    /// reached nothing at last. Of equal ones the earlier is first.
    pub fn order(&self, trials: &[Standing]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..trials.len()).collect();
        let key = |n: usize| {
            let trial: &Standing = &trials[n];
            let far = if trial.finished.is_some() { usize::MAX } else { trial.reached.len() };
            let value = trial.finished.or(trial.reached.last().copied()).unwrap_or(f64::NAN);
            (far, (value, trial.losses.last().copied().unwrap_or(f64::NAN)))
        };
        order.sort_by(|&one, &other| {
            let ((far, value), (other_far, other_value)) = (key(one), key(other));
            other_far.cmp(&far).then_with(|| self.compare(value, other_value))
        });
        order
    }

    /// The trials that reached a rung, best first.
    fn ranked(&self, trials: &[Standing], rung: usize) -> Vec<usize> {
        let mut ranked: Vec<(usize, (f64, f64))> =
            trials.iter().enumerate().filter_map(|(n, trial)| Some((n, trial.at(rung)?))).collect();
        ranked.sort_by(|one, other| self.compare(one.1, other.1));
        ranked.into_iter().map(|(trial, _)| trial).collect()
    }

    /// The better one is less: by the metric, and then by the loss.
    fn compare(&self, one: (f64, f64), other: (f64, f64)) -> Ordering {
        match (self.metric.better(one.0, other.0), self.metric.better(other.0, one.0)) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => one.1.partial_cmp(&other.1).unwrap_or(Ordering::Equal),
        }
    }

    fn goal(&self, rung: usize) -> Goal {
        if rung < self.rungs { Goal::Rung(rung) } else { Goal::End }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRIC: MetricName = MetricName::Accuracy;

    fn reached(values: &[f64]) -> Standing {
        Standing { reached: values.to_vec(), ..Standing::default() }
    }

    fn ended(values: &[f64], at: f64) -> Standing {
        Standing { finished: Some(at), ..reached(values) }
    }

    fn out(values: &[f64]) -> Standing {
        Standing { out: true, ..reached(values) }
    }

    #[track_caller]
    fn check(rungs: usize, trials: &[Standing], begin: bool, promote: bool, expected: Next) {
        let halving = Halving { reduction: 3, rungs, metric: METRIC };
        assert_eq!(halving.next(trials, May { begin, promote, ends: usize::MAX }), expected);
    }

    #[test]
    fn the_best_of_each_rung_goes_on_as_soon_as_there_are_enough() {
        use Goal::{End, Rung};
        check(2, &[], true, true, Next::New);
        check(2, &[reached(&[])], true, true, Next::Go(0, Rung(0)));
        check(0, &[reached(&[])], true, true, Next::Go(0, End));
        let two = [reached(&[0.5]), reached(&[0.6])];
        check(2, &two, true, true, Next::New);
        let three = [&two[..], &[reached(&[0.4])]].concat();
        check(2, &three, true, true, Next::Go(1, Rung(1)));
        check(1, &three, true, true, Next::Go(1, End));
        check(2, &three, true, false, Next::New);
        // The best one is on its way; the second best waits for three more.
        let on = [reached(&[0.5]), reached(&[0.6, 0.7]), reached(&[0.4])];
        check(2, &on, true, true, Next::New);
        let six = [&on[..], &[reached(&[0.3]), reached(&[0.55]), reached(&[0.2])]].concat();
        check(2, &six, true, true, Next::Go(4, Rung(1)));
        // Of equal ones the earlier.
        check(1, &[reached(&[0.5]), reached(&[0.5]), reached(&[0.5])], true, true, Next::Go(0, End));
        // Of equal ones the one with the lower loss, if losses are known.
        let with_loss = |loss| Standing { losses: vec![loss], ..reached(&[0.5]) };
        check(1, &[with_loss(0.7), with_loss(0.6), with_loss(0.8)], true, true, Next::Go(1, End));
        // A higher rung comes first.
        let high = [reached(&[0.9, 0.1]), reached(&[0.8, 0.2]), reached(&[0.7, 0.3]), reached(&[0.6])];
        check(2, &high, true, true, Next::Go(2, End));
        // The way to the end may have to wait for all trials.
        let wait = |rungs, ends| {
            let halving = Halving { reduction: 3, rungs, metric: METRIC };
            halving.next(&high, May { begin: true, promote: true, ends })
        };
        assert_eq!((wait(2, 0), wait(2, 1)), (Next::New, Next::Go(2, End)));
        assert_eq!(wait(3, 0), Next::Go(2, Rung(2)));
        // What failed above a rung has its place there.
        check(1, &[out(&[0.9]), reached(&[0.5]), reached(&[0.4])], true, true, Next::New);
        // What was given up does not go on, though it is among the best of five.
        check(1, &[out(&[0.9]), out(&[0.8]), ended(&[0.7], 0.9)], false, true, Next::Done);
    }

    #[test]
    fn at_least_one_trial_comes_to_its_end() {
        use Goal::{End, Rung};
        check(2, &[reached(&[0.5]), reached(&[0.6])], false, true, Next::Go(1, Rung(1)));
        check(2, &[reached(&[0.5]), reached(&[0.6, 0.1])], false, true, Next::Go(1, End));
        check(2, &[reached(&[0.5]), reached(&[0.6, 0.1])], false, false, Next::Go(1, End));
        check(2, &[reached(&[0.5]), ended(&[0.6, 0.1], 0.2)], false, true, Next::Done);
        check(2, &[out(&[0.5]), out(&[])], false, true, Next::Done);
        check(1, &[reached(&[f64::NAN]), reached(&[0.1])], false, true, Next::Go(1, End));
    }

    #[test]
    fn what_cannot_go_on_any_more_is_hopeless() {
        let halving = Halving { reduction: 3, rungs: 1, metric: MetricName::Loss };
        let trials = [reached(&[0.3]), reached(&[0.1]), reached(&[0.2])];
        assert_eq!(halving.hopeless(&trials, 9), [0; 0], "three of nine go on");
        assert_eq!(halving.hopeless(&trials, 6), [0], "two of six go on");
        assert_eq!(halving.hopeless(&trials, 5), [0, 2]);
        assert_eq!(halving.hopeless(&trials, 2), [0, 2], "one goes on in any case");
        let trials = [ended(&[0.3], 0.1), out(&[0.1]), out(&[]), reached(&[0.2])];
        assert_eq!(halving.hopeless(&trials, 7), [0; 0], "six come to the rung, two go on");
        assert_eq!(halving.hopeless(&trials, 6), [3]);
    }

    #[test]
    fn the_order_is_by_how_far_and_how_good() {
        let halving = Halving { reduction: 3, rungs: 2, metric: METRIC };
        let trials = [
            reached(&[0.9]),
            ended(&[0.5, 0.6], 0.6),
            out(&[]),
            reached(&[0.8, 0.7]),
            ended(&[0.4], 0.7),
            out(&[0.95]),
        ];
        assert_eq!(halving.order(&trials), [4, 1, 3, 5, 0, 2]);
    }

    /// A whole search with trials whose value at every rung is their quality.
    #[test]
    fn a_search_costs_a_part_of_its_trials() {
        let halving = Halving { reduction: 3, rungs: 2, metric: METRIC };
        let quality = |trial: usize| ((trial * 7) % 20) as f64;
        let mut trials: Vec<Standing> = Vec::new();
        loop {
            let begin = trials.len() < 20;
            match halving.next(&trials, May { begin, promote: true, ends: if begin { 0 } else { 2 } }) {
                Next::New => trials.push(Standing::default()),
                Next::Go(trial, Goal::Rung(rung)) => {
                    assert_eq!(trials[trial].reached.len(), rung);
                    trials[trial].reached.push(quality(trial));
                }
                Next::Go(trial, Goal::End) => trials[trial].finished = Some(quality(trial)),
                Next::Done => break,
            }
            for trial in halving.hopeless(&trials, 20) {
                trials[trial].out = true;
            }
        }
        let count = |rung: usize| trials.iter().filter(|trial| trial.reached.len() > rung).count();
        assert!((6..=8).contains(&count(1)), "{}", count(1));
        assert_eq!(trials.iter().filter(|trial| trial.finished.is_some()).count(), 2, "a ninth of 20");
        let best = halving.order(&trials)[0];
        assert_eq!((trials.len(), trials[best].finished), (20, Some(19.0)));
    }
}
