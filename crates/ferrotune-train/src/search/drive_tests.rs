//! Whole searches with a worker that computes instead of training: what they find, and that a crash after any event changes nothing.

use super::super::space::{Domain, Parameter, Value};
use super::super::study::{Header, Trial};
use super::*;
use crate::metrics::MetricName;
use crate::store::fingerprint::Fingerprint;
use std::collections::BTreeMap;
use std::path::Path;

fn plan(method: Method, rungs: usize, trials: Option<u64>, seconds: Option<f64>) -> Plan {
    let parameter = |name: &str, domain| Parameter { name: name.to_string(), domain, when: Vec::new(), points: 4 };
    let space = Space::new(vec![
        parameter("lr", Domain::Number { low: 1e-5, high: 1e-2, log: true }),
        parameter("epochs", Domain::Integer { low: 1, high: 3, log: false }),
    ])
    .unwrap();
    let baseline = Settings::from([("lr".to_string(), Value::Number(2e-5)), ("epochs".to_string(), Value::Integer(3))]);
    let halving = Halving { reduction: 3, rungs, metric: MetricName::Accuracy };
    Plan { space, method, seed: 5, halving, trials, seconds, baseline }
}

/// Trains by a formula. A trial's checkpoint is the number of rungs that it has passed.
#[derive(Default)]
struct Formula {
    checkpoints: BTreeMap<usize, usize>,
    /// Ends the search after so many events, as a crash would: the event is on the disk.
    events_left: Option<usize>,
    /// Ends it in the middle of a trial: the checkpoint is there, the event is not.
    half_done: bool,
}

fn crash() -> TrainError {
    TrainError::NoCheckpoint { directory: "crash".into() }
}

impl Worker for Formula {
    type Error = TrainError;

    fn go(&mut self, study: &Study, trial: usize, goal: Goal) -> Result<(Came, f64), TrainError> {
        let settings = &study.trials()[trial].settings;
        let (Value::Number(rate), Value::Integer(epochs)) = (&settings["lr"], &settings["epochs"]) else {
            panic!("{settings:?}")
        };
        if *rate > 5e-3 {
            return Ok((Came::Nowhere("too fast".to_string()), 0.5));
        }
        let from = self.checkpoints.get(&trial).copied().unwrap_or(0);
        let passed = study.trials()[trial].standing.reached.len();
        assert!(from == passed || from == passed + 1, "trial {trial} goes on from its checkpoint");
        let steps = 9 * *epochs as u64;
        let value = |share: f64| share * (1.0 - (rate.log10() + 3.0).abs() / 10.0) + 0.001 * *epochs as f64;
        let came = match goal {
            Goal::Rung(rung) => {
                self.checkpoints.insert(trial, rung + 1);
                let share = [1.0 / 9.0, 1.0 / 3.0][rung];
                Came::ToRung { step: (steps as f64 * share) as u64, steps, value: value(share), loss: 0.0 }
            }
            Goal::End => Came::ToEnd { step: steps, steps, value: value(1.0), loss: 0.0, epoch: *epochs as u64 },
        };
        if self.half_done && self.events_left == Some(1) {
            return Err(crash());
        }
        Ok((came, 1.0))
    }

    fn clear(&mut self, trial: usize) -> Result<(), TrainError> {
        self.checkpoints.remove(&trial);
        Ok(())
    }

    fn wrote(&mut self, _: &Study, _: &Entry) -> Result<(), TrainError> {
        self.events_left = self.events_left.map(|left| left - 1);
        if self.events_left == Some(0) { Err(crash()) } else { Ok(()) }
    }
}

fn header(plan: &Plan) -> Header {
    Header::new(plan.space.clone(), plan.halving.metric, Fingerprint::default())
}

fn searched(folder: &Path, plan: &Plan) -> (Vec<Trial>, End) {
    let mut study = Study::create(folder, header(plan)).unwrap();
    let mut worker = Formula::default();
    let end = drive(&mut study, plan, &mut worker).unwrap();
    assert!(worker.checkpoints.is_empty(), "nothing is left behind");
    assert!(study.trials().iter().all(|trial| trial.state != State::Waiting));
    (study.trials().to_vec(), end)
}

/// The plans that are tried: both ways to end, with and without rungs.
fn plans() -> [Plan; 5] {
    [
        plan(Method::Tpe, 2, Some(20), None),
        plan(Method::Tpe, 0, Some(9), None),
        plan(Method::Random, 1, None, Some(12.0)),
        plan(Method::Grid, 2, Some(20), None),
        plan(Method::Tpe, 2, Some(2), None),
    ]
}

#[test]
fn a_search_ends_with_a_trial_at_its_end() {
    let ends = [End::Trials, End::Trials, End::Time, End::Space, End::Trials];
    for (plan, expected) in plans().iter().zip(ends) {
        let folder = tempfile::tempdir().unwrap();
        let (trials, end) = searched(folder.path(), plan);
        assert_eq!(end, expected);
        assert_eq!(trials[0].origin, Origin::Baseline);
        let finished = trials.iter().filter(|trial| matches!(trial.state, State::Finished(_))).count();
        let failed = trials.iter().filter(|trial| matches!(trial.state, State::Failed(_))).count();
        match plan.halving.rungs {
            0 => assert_eq!(finished + failed, trials.len()),
            _ => assert!(finished >= 1 && finished < trials.len(), "{finished} of {}", trials.len()),
        }
        match end {
            End::Trials => assert_eq!(Some(trials.len() as u64), plan.trials),
            // The baseline, and the grid.
            End::Space => assert_eq!(trials.len(), 13),
            End::Time => assert!(trials.iter().map(|trial| trial.seconds).sum::<f64>() >= 12.0),
        }
        assert_eq!(searched(tempfile::tempdir().unwrap().path(), plan).0, trials, "the same seed, the same search");
    }
}

#[test]
fn a_crash_after_any_event_or_before_it_changes_nothing() {
    for plan in plans() {
        let whole = tempfile::tempdir().unwrap();
        let (trials, end) = searched(whole.path(), &plan);
        for half_done in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut worker = Formula { half_done, ..Formula::default() };
            let mut study = Study::create(folder.path(), header(&plan)).unwrap();
            let mut crashes = 0;
            let ended = loop {
                // The checkpoints outlive a crash, what is in memory does not. With half-done trials every second event gets through.
                worker.events_left = Some(if half_done && crashes % 2 == 1 { 2 } else { 1 });
                match drive(&mut study, &plan, &mut worker) {
                    Ok(end) => break end,
                    Err(_) => crashes += 1,
                }
                drop(study);
                study = Study::resume(folder.path(), &header(&plan)).unwrap();
                assert!(crashes < 1000, "no progress");
            };
            assert_eq!(ended, end);
            assert_eq!(study.trials(), trials);
            assert!(crashes > 10 || plan.trials == Some(2) && crashes > 4, "{crashes}");
            let text = |folder: &Path| std::fs::read_to_string(folder.join(super::super::study::STUDY)).unwrap();
            assert_eq!(text(folder.path()), text(whole.path()), "line by line");
        }
    }
}

#[test]
fn a_study_that_ended_goes_on_with_a_larger_budget() {
    let small = plan(Method::Tpe, 2, Some(8), None);
    let folder = tempfile::tempdir().unwrap();
    let (before, _) = searched(folder.path(), &small);
    let large = plan(Method::Tpe, 2, Some(16), None);
    let mut study = Study::resume(folder.path(), &header(&large)).unwrap();
    drive(&mut study, &large, &mut Formula::default()).unwrap();
    assert_eq!(study.trials().len(), 16);
    assert_eq!(study.trials()[..8], before, "what was over stays so");
}
