//! Tests and intervals against scipy (`tests/golden/comparison.py`), and what randomness must and must not change.

use super::*;
use crate::metrics::{fisher, wilson};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../../tests/golden/comparison.json")).unwrap()
}

#[track_caller]
fn near(what: &Value, got: f64, want: &Value) {
    let want = want.as_f64().unwrap();
    assert!((got - want).abs() <= 1e-9, "{what}: got {got}, expected {want}");
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

/// Runs `check` on all cases of a name, of which there are so many.
fn each(name: &str, count: usize, check: impl Fn(&Value, &[usize])) {
    let golden = golden();
    let cases = golden[name].as_array().unwrap();
    assert_eq!(cases.len(), count, "{name}");
    cases.iter().for_each(|case| check(case, &case["of"].as_array().map_or(vec![], |_| numbers(&case["of"]))));
}

#[test]
fn exact_tests_and_intervals_are_those_of_scipy() {
    each("mcnemar", 14, |case, of| near(case, mcnemar(of[0] as u64, of[1] as u64), &case["p"]));
    each("fisher", 18, |case, of| {
        let [a, b, c, d] = of[..] else { panic!("{case}") };
        near(case, fisher((a as u64, b as u64), (c as u64, d as u64)), &case["p"]);
    });
    each("wilson", 12, |case, of| {
        let Interval { low, high } = wilson(of[0] as u64, of[1] as u64).unwrap();
        near(case, low, &case["low"]);
        near(case, high, &case["high"]);
    });
    assert_eq!(wilson(0, 0), None);
}

/// p-values far below 1e-9 agree relative to themselves.
#[test]
fn small_p_values_keep_their_digits() {
    each("mcnemar", 14, |case, of| {
        let (got, want) = (mcnemar(of[0] as u64, of[1] as u64), case["p"].as_f64().unwrap());
        assert!((got - want).abs() <= 1e-9 * want, "{case}: {got}");
    });
}

#[test]
fn figures_and_permutation_tests_are_those_of_scipy_and_scikit_learn() {
    each("paired", 8, |case, _| {
        let (labels, first, second) = (numbers(&case["labels"]), numbers(&case["first"]), numbers(&case["second"]));
        let found = paired(&labels, &first, &second, case["classes"].as_u64().unwrap() as usize, 5).unwrap();
        for (got, name) in [(found.accuracy, "accuracy"), (found.f1_macro, "f1_macro")] {
            let want = &case[name];
            near(want, got.first, &want["first"]);
            near(want, got.second, &want["second"]);
            near(want, got.difference, &want["difference"]);
            assert!(got.interval.low <= got.difference && got.difference <= got.interval.high, "{got:?}");
            let p = want["p"].as_f64().unwrap();
            if case["all"].as_bool().unwrap() {
                assert!(found.all_permutations);
                near(want, got.permutation_p, &want["p"]);
            } else {
                // Both draw 10000 and more of them: four deviations of the difference of two such shares.
                let deviation = (2.0 * p.max(1e-4) * (1.0 - p) / PERMUTATIONS as f64).sqrt();
                assert!(!found.all_permutations && (got.permutation_p - p).abs() < 4.0 * deviation, "{got:?} {want}");
            }
        }
        near(case, found.mcnemar_p, &case["mcnemar_p"]);
        let counts = [found.both_right, found.first_only, found.second_only, found.neither];
        assert_eq!(counts.map(|count| count as usize).to_vec(), numbers(&case["counts"]));
        assert_eq!(found.rows as usize, labels.len());
    });
}

/// 500 rows; the first is wrong on every tenth, the second on `more` others too.
fn two(more: usize) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let labels: Vec<usize> = (0..500).map(|row| row % 3).collect();
    let wrong = |rows: &dyn Fn(usize) -> bool| -> Vec<usize> {
        labels.iter().enumerate().map(|(row, &label)| if rows(row) { (label + 1) % 3 } else { label }).collect()
    };
    let first = wrong(&|row| row.is_multiple_of(10));
    let second = wrong(&|row| row % 10 == 5 || row % 10 == 1 && row / 10 < more);
    (labels, first, second)
}

#[test]
fn exchanging_the_two_turns_the_signs_and_the_seed_alone_decides() {
    let (labels, first, second) = two(30);
    let found = paired(&labels, &first, &second, 3, 0).unwrap();
    let turned = paired(&labels, &second, &first, 3, 0).unwrap();
    // On accuracies both tests are the same, of which one draws: four deviations of a share of 10000.
    let deviation = (found.mcnemar_p * (1.0 - found.mcnemar_p) / PERMUTATIONS as f64).sqrt();
    assert!((found.accuracy.permutation_p - found.mcnemar_p).abs() < 4.0 * deviation, "{found:?}");
    assert!(found.accuracy.interval.low > 0.0 && turned.accuracy.interval.high < 0.0);
    assert_eq!((found.first_only, found.second_only), (turned.second_only, turned.first_only));
    assert_eq!((found.mcnemar_p, found.accuracy.difference), (turned.mcnemar_p, -turned.accuracy.difference));
    assert_eq!(paired(&labels, &first, &second, 3, 0).unwrap(), found);
    assert_ne!(paired(&labels, &first, &second, 3, 1).unwrap().f1_macro.interval, found.f1_macro.interval);
    assert_eq!(paired(&[], &[], &[], 3, 0), None);
}

#[test]
fn equal_predictions_do_not_differ() {
    let (labels, first, _) = two(0);
    let found = paired(&labels, &first, &first, 3, 0).unwrap();
    assert_eq!((found.mcnemar_p, found.permutations, found.all_permutations), (1.0, 1, true));
    for compared in [found.accuracy, found.f1_macro] {
        assert_eq!((compared.difference, compared.permutation_p), (0.0, 1.0));
        assert_eq!(compared.interval, Interval { low: 0.0, high: 0.0 });
    }
}

/// The interval of the difference of accuracies is the normal one of a mean of -1, 0 and 1.
#[test]
fn the_interval_of_the_difference_has_the_width_of_its_variance() {
    let (labels, first, second) = two(30);
    let found = paired(&labels, &first, &second, 3, 2).unwrap().accuracy;
    let share = |count: f64| count / 500.0;
    let spread = ((share(80.0 + 50.0) - share(30.0_f64).powi(2)) / 500.0).sqrt();
    // As for the interval of one accuracy: four deviations of a quantile of 1000 draws, and one row.
    let allowed = 4.0 * 0.085 * spread + 1.0 / 500.0;
    assert!((found.interval.low - (found.difference - 1.96 * spread)).abs() < allowed, "{found:?}");
    assert!((found.interval.high - (found.difference + 1.96 * spread)).abs() < allowed, "{found:?}");
}

#[test]
fn gains_are_the_differences_of_the_whole_comparison() {
    let labels: Vec<usize> = (0..60).map(|row| row % 3).collect();
    let said = |wrong: usize| -> Vec<usize> {
        labels.iter().enumerate().map(|(row, &label)| if row % wrong == 0 { (label + 1) % 3 } else { label }).collect()
    };
    let (first, second) = (said(7), said(4));
    let whole = paired(&labels, &first, &second, 3, 5).unwrap();
    let found = gains(&labels, &first, &second, 3, 5).unwrap();
    for (gain, compared) in found.iter().zip([whole.accuracy, whole.f1_macro]) {
        assert_eq!((gain.difference, gain.interval), (compared.difference, compared.interval));
        assert!(gain.difference > 0.0 && gain.interval.low < gain.interval.high);
    }
    assert_eq!(gains(&[], &[], &[], 3, 5), None);
}
