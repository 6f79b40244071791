//! The mean of the best epochs, and leaving a run that learns one answer for all rows: both after a resume too.

use super::training::{PAUSE, Trained, run, settings};
use ferrotune_optim::schedule::Kind;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::trainer::{End, Settings};

const EPOCH: u64 = 5;

/// The weights after an epoch that is not the last.
fn after(settings: &Settings, epoch: u64) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let steps = settings.steps(40).0;
    let stopped = run(settings, "", Some((folder.path(), false)), Some(epoch * steps)).unwrap();
    assert!(stopped.outcome.end == End::Stopped && stopped.outcome.averaged.is_empty());
    values(&stopped)
}

fn values(trained: &Trained) -> Vec<f32> {
    trained.weights.iter().map(|&bits| f32::from_bits(bits)).collect()
}

/// Rates at which the best epochs are not the last ones.
fn unsteady(average_best: usize) -> Settings {
    let schedule = Kind::Constant;
    Settings {
        average_best,
        epochs: 6,
        batch_size: 2,
        learning_rate: 0.03,
        schedule,
        metric: MetricName::Loss,
        ..settings()
    }
}

#[test]
fn the_mean_of_the_best_epochs_is_measured_and_kept_if_it_is_no_worse() {
    // Solved for several epochs: the mean of these is no worse than perfect. Still falling: the mean of the last epochs lies behind the last.
    let solved = |average_best| Settings { average_best, epochs: 16, metric: MetricName::Accuracy, ..settings() };
    let falling = |average_best| Settings { average_best, epochs: 4, learning_rate: 3e-3, ..unsteady(average_best) };
    let of_seed = |most, seed| Settings { seed, ..unsteady(most) };
    for (settings, kept) in [
        (solved(2), Some(true)),
        (solved(3), Some(true)),
        (falling(2), Some(false)),
        // What becomes of these depends on the last bits of sums, and so on the instruction set.
        (of_seed(2, 1), None),
        (of_seed(2, 2), None),
        (of_seed(3, 1), None),
        (of_seed(3, 2), None),
    ] {
        let (most, seed) = (settings.average_best, settings.seed);
        let (one, several) = (
            run(&Settings { average_best: 1, ..settings.clone() }, "", None, None).unwrap(),
            run(&settings, "", None, None).unwrap(),
        );
        assert_eq!(one.losses, several.losses, "what is kept does not change the steps");
        let metric = settings.metric;
        let value = |trained: &Trained| trained.outcome.validation.as_ref().unwrap().summary().value(metric);
        let epochs = &several.outcome.averaged;
        assert!(kept.is_none_or(|kept| kept != epochs.is_empty()), "{metric} {most} {seed}: {epochs:?}");
        if epochs.is_empty() {
            assert!(several.weights == one.weights && value(&several) == value(&one));
            continue;
        }
        assert!(!metric.better(value(&one), value(&several)), "{metric} {most} {seed}");
        assert_eq!((epochs.len(), epochs[0]), (most, one.outcome.best_epoch));
        if epochs.contains(&settings.epochs) {
            continue;
        }
        let each: Vec<Vec<f32>> = epochs.iter().map(|&epoch| after(&settings, epoch)).collect();
        for (at, &mean) in values(&several).iter().enumerate() {
            let sum: f64 = each.iter().map(|weights| f64::from(weights[at])).sum();
            assert_eq!(mean, (sum * (1.0 / most as f64)) as f32, "{most} {seed}");
        }
    }
}

#[test]
fn a_resumed_run_averages_the_same_epochs() {
    let settings = unsteady(3);
    let whole = run(&settings, "", None, None).unwrap();
    // In an epoch, at the end of one that is kept or not, and after the last.
    for stop_at in [2, 20, 53, 60, 80, 119, 120] {
        let folder = tempfile::tempdir().unwrap();
        run(&settings, "", Some((folder.path(), false)), Some(stop_at)).unwrap();
        let resumed = run(&settings, "", Some((folder.path(), true)), None).unwrap();
        assert!(resumed.weights == whole.weights, "stopped at {stop_at}");
        assert_eq!(resumed.outcome.averaged, whole.outcome.averaged);
        assert_eq!(resumed.outcome.validation, whole.outcome.validation);
    }
}

/// A rate at which nothing is learned: the loss stays at ln 2 for the 50 steps that are looked at.
fn learns_nothing() -> Settings {
    Settings { epochs: 24, learning_rate: 1e-9, leave_degenerate: true, ..settings() }
}

#[test]
fn a_run_that_learns_nothing_is_left_if_that_is_asked_for_and_after_a_resume_at_the_same_step() {
    let left = run(&learns_nothing(), "", None, None).unwrap();
    let End::Degenerate { why } = left.outcome.end.clone() else { panic!("{:?}", left.outcome.end) };
    assert!(why.contains("nothing is learned so far") && left.warnings.contains(&why), "{why}");
    assert!(left.outcome.steps >= 50 && left.outcome.steps < 24 * EPOCH, "{}", left.outcome.steps);

    let stayed = run(&Settings { leave_degenerate: false, ..learns_nothing() }, "", None, None).unwrap();
    assert_eq!((stayed.outcome.steps, stayed.outcome.end), (24 * EPOCH, End::Finished));
    assert!(stayed.warnings.contains(&why), "it is said anyway");
    let healthy = run(&Settings { learning_rate: 1e-2, ..learns_nothing() }, "", None, None).unwrap();
    assert_eq!((healthy.outcome.steps, healthy.outcome.end), (24 * EPOCH, End::Finished));

    for stop_at in [3, 40, left.outcome.steps - 1] {
        let folder = tempfile::tempdir().unwrap();
        run(&learns_nothing(), "", Some((folder.path(), false)), Some(stop_at)).unwrap();
        let resumed = run(&learns_nothing(), "", Some((folder.path(), true)), None).unwrap();
        assert_eq!((resumed.outcome.steps, &resumed.outcome.end), (left.outcome.steps, &left.outcome.end));
    }
}

/// Rows of tables that no step has read since are owed updates, and a stop at that very step would have no checkpoint to go on from.
#[test]
fn a_run_that_is_left_within_an_epoch_is_settled_and_not_stopped() {
    let settings = Settings { batch_size: 7, penalty: Default::default(), ..learns_nothing() };
    let left = run(&settings, "", None, None).unwrap();
    let steps = left.outcome.steps;
    assert!(
        matches!(left.outcome.end, End::Degenerate { .. }) && !steps.is_multiple_of(settings.steps(40).0),
        "{steps}"
    );
    let folder = tempfile::tempdir().unwrap();
    let stopped = run(&settings, "", Some((folder.path(), false)), Some(steps)).unwrap();
    assert!(stopped.weights == left.weights);
    assert_eq!((stopped.outcome.steps, stopped.outcome.end), (steps, left.outcome.end));
}

/// Within an epoch, at the end of one, and with an average of weights, which is what is measured.
#[test]
fn a_run_that_pauses_is_measured_and_goes_on_to_the_same_bits() {
    let mut measured = Vec::new();
    for (ema, step) in [(None, 7), (None, EPOCH), (None, 2 * EPOCH), (Some(0.5), 7)] {
        let settings = Settings { ema, ..settings() };
        let whole = run(&settings, "", None, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        PAUSE.set(Some(step));
        let paused = run(&settings, "", Some((folder.path(), false)), None).unwrap().outcome;
        let again = run(&settings, "", Some((folder.path(), true)), None).unwrap();
        PAUSE.set(None);
        let End::Paused { now: Some(now) } = paused.end else { panic!("{:?}", paused.end) };
        assert!(paused.validation.is_none());
        assert_eq!((paused.steps, again.outcome.steps, again.losses.len()), (step, step, 0), "nothing is done again");
        assert_eq!(again.outcome.end, paused.end);
        if step % EPOCH == 0 {
            assert_eq!(Some(now), paused.epochs.last().unwrap().validation);
        }
        measured.push(now.value);
        let resumed = run(&settings, "", Some((folder.path(), true)), None).unwrap();
        assert!(resumed.weights == whole.weights && resumed.outcome.end == End::Finished, "{ema:?} {step}");
    }
    assert_ne!(measured[0], measured[3], "the average is another model");
    // The end of a run is no pause.
    PAUSE.set(Some(4 * EPOCH));
    let whole = run(&settings(), "", None, None).unwrap();
    PAUSE.set(None);
    assert!(whole.outcome.end == End::Finished && whole.outcome.validation.is_some());
}
