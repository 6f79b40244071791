//! For each rule a run that triggers it, and one like it that does not.

use super::*;
use crate::metrics::Confusion;

/// Epochs of (training loss, validation loss, accuracy).
fn epochs(points: &[(f64, f64, f64)]) -> Vec<Epoch> {
    let epoch =
        |&(train_loss, loss, value): &(f64, f64, f64)| Epoch { train_loss, validation: Some(Measured { loss, value }) };
    points.iter().map(epoch).collect()
}

/// The report of 1000 rows, of which so many are of the first class, and that share of each class is told right.
fn report(first: u64, right: [f64; 2]) -> Report {
    let mut confusion = Confusion::new(2);
    for (class, (rows, right)) in [first, 1000 - first].into_iter().zip(right).enumerate() {
        for row in 0..rows {
            let told = (row as f64) < right * rows as f64;
            confusion.add(class, if told { class } else { 1 - class });
        }
    }
    Report::Classification(confusion.report(0.3, &["calm", "storm"].map(str::to_string)))
}

/// Checks which rules speak of a run over a balanced report; each case changes one thing of a healthy run.
#[track_caller]
fn check(points: &[(f64, f64, f64)], best_epoch: u64, change: impl Fn(&mut Facts<'_>), expected: &[(&str, &str)]) {
    let (epochs, report) = (epochs(points), report(500, [0.86, 0.86]));
    let mut facts = Facts {
        epochs: &epochs,
        metric: MetricName::Accuracy,
        best_epoch,
        validation: Some(&report),
        constant_loss: Some(std::f64::consts::LN_2),
        rows: 1000,
        truncated: 0,
        max_length: 128,
    };
    change(&mut facts);
    let said = advise(&facts);
    let rules: Vec<&str> = said.iter().map(|advice| advice.rule).collect();
    assert_eq!(rules, expected.iter().map(|(rule, _)| *rule).collect::<Vec<_>>(), "{said:?}");
    for (advice, (_, part)) in said.iter().zip(expected) {
        assert!(advice.message.contains(part) && advice.message.contains("--"), "{advice:?}");
        assert!(!advice.message.contains('\n') && !advice.message.contains("  "), "{advice:?}");
    }
}

const HEALTHY: [(f64, f64, f64); 3] = [(0.5, 0.40, 0.83), (0.3, 0.37, 0.855), (0.2, 0.38, 0.86)];

#[test]
fn a_healthy_run_is_left_alone() {
    check(&HEALTHY, 3, |_| (), &[]);
    check(&[], 1, |_| (), &[]);
    check(&HEALTHY[..1], 1, |_| (), &[]);
    let without: Vec<(f64, f64, f64)> = HEALTHY.to_vec();
    check(&without, 3, |facts| facts.validation = None, &[]);
}

#[test]
fn over_fitting_is_a_rising_loss_that_no_longer_helps() {
    let rising = [(0.5, 0.40, 0.86), (0.2, 0.45, 0.85), (0.05, 0.60, 0.85)];
    check(&rising, 1, |_| (), &[("over-fitting", "from 0.400 after epoch 1 to 0.600 after epoch 3")]);
    check(&[rising[0], rising[1]], 1, |_| (), &[]);
    // Confidence: the last epoch is the best all the same.
    check(&[(0.5, 0.40, 0.85), (0.2, 0.45, 0.85), (0.05, 0.60, 0.86)], 3, |_| (), &[]);
    // The training loss does not fall: another trouble.
    check(&[(0.2, 0.40, 0.86), (0.2, 0.60, 0.85)], 1, |_| (), &[]);
}

#[test]
fn under_fitting_is_a_training_loss_near_that_of_one_answer() {
    let little = [(0.69, 0.68, 0.85), (0.66, 0.66, 0.86)];
    check(&little, 2, |_| (), &[("under-fitting", "is 0.660, one answer for all rows gives 0.693")]);
    check(&[(0.69, 0.68, 0.85), (0.5, 0.66, 0.86)], 2, |_| (), &[]);
    check(&little, 2, |facts| facts.constant_loss = None, &[]);
}

#[test]
fn still_improving_is_a_last_epoch_clearly_better_than_all() {
    // The standard error of 0.86 over 1000 rows is 0.011.
    let risen = [(0.5, 0.45, 0.80), (0.4, 0.37, 0.86)];
    check(&risen, 2, |_| (), &[("still improving", "accuracy went from 0.8000 to 0.8600 in the last epoch")]);
    check(&[(0.5, 0.45, 0.855), (0.4, 0.37, 0.86)], 2, |_| (), &[]);
    check(&[(0.5, 0.45, 0.86), (0.4, 0.37, 0.80)], 1, |_| (), &[]);
    // Of a loss the smaller is better.
    let losses = [(0.5, 0.45, 0.45), (0.4, 0.37, 0.37)];
    check(
        &losses,
        2,
        |facts| facts.metric = MetricName::Loss,
        &[("still improving", "loss went from 0.4500 to 0.3700")],
    );
}

#[test]
fn unstable_is_a_loss_that_rises_or_a_metric_that_jumps() {
    let jumping = [(0.5, 0.40, 0.86), (0.4, 0.39, 0.70), (0.3, 0.38, 0.855)];
    check(&jumping, 1, |_| (), &[("unstable", "accuracy fell from 0.8600 to 0.7000 in epoch 2 and rose to 0.8550")]);
    check(&[(0.5, 0.40, 0.86), (0.4, 0.39, 0.85), (0.3, 0.38, 0.855)], 1, |_| (), &[]);
    let rising = [(0.3, 0.40, 0.855), (0.5, 0.39, 0.85), (0.3, 0.38, 0.86)];
    check(&rising, 3, |_| (), &[("unstable", "the training loss rose from 0.300 to 0.500 in epoch 2")]);
    // Next to nothing to begin with.
    check(&[(0.010, 0.40, 0.855), (0.050, 0.39, 0.86)], 2, |_| (), &[]);
}

#[test]
fn imbalance_counts_where_small_classes_are_neglected() {
    let with =
        |first, right| move |facts: &mut Facts<'_>| facts.validation = Some(Box::leak(Box::new(report(first, right))));
    let expected = [("imbalanced", "\"calm\" has 9 times the rows of \"storm\"")];
    check(&HEALTHY, 3, with(900, [0.95, 0.40]), &expected);
    check(&HEALTHY, 3, with(900, [0.99, 0.95]), &[]);
    check(&HEALTHY, 3, with(600, [0.95, 0.40]), &[]);
}

#[test]
fn truncation_counts_from_a_twentieth_of_the_rows() {
    let expected = [("truncated", "6 % of the training rows are longer than 128 tokens")];
    check(&HEALTHY, 3, |facts| facts.truncated = 60, &expected);
    check(&HEALTHY, 3, |facts| facts.truncated = 50, &[]);
}
