//! Temperatures, selective figures and thresholds against scipy (`tests/golden/calibration.py`), and what must hold for all rows.

use super::*;
use crate::tasks::{Answer, Binary, MultiLabel, SingleLabel, Targets, Task, softmax};
use ferrotune_data::{Labels, Row};
use ferrotune_tensor::Cpu;
use serde_json::Value;

fn golden(part: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/calibration.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all[part].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[track_caller]
fn near(what: &str, got: f64, want: &Value, tolerance: f64) {
    let want = want.as_f64().unwrap();
    assert!((got - want).abs() <= tolerance * want.abs().max(1e-9), "{what}: got {got}, expected {want}");
}

/// Even numbers in 0..1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Logits of so many rows and classes, with a class for each row that is drawn from its softmax.
    fn classes(&mut self, rows: usize, classes: usize, spread: f64) -> (Vec<f32>, Vec<u32>) {
        let logits: Vec<f32> = (0..rows * classes).map(|_| (spread * (self.next() - 0.5)) as f32).collect();
        let drawn = logits.chunks(classes).map(|row| {
            let (mut left, probabilities) = (self.next(), softmax(row));
            let taken = probabilities.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            taken.unwrap_or(classes - 1) as u32
        });
        let labels = drawn.collect();
        (logits, labels)
    }
}

fn check_fit(case: &Value) {
    let name = case["name"].as_str().unwrap();
    let logits: Vec<f32> = numbers(&case["logits"]).into_iter().map(|number| number as f32).collect();
    let truth = numbers(&case["truth"]);
    let (width, truths) = (case["width"].as_u64().unwrap() as usize, truth.iter().map(|&t| t == 1.0).collect());
    let rows = match case["kind"].as_str().unwrap() {
        "classes" => {
            let labels = truth.iter().map(|&label| label as u32).collect();
            Scored::Classes { logits: &logits, classes: width, labels }
        }
        "binary" => Scored::Binary { logits: &logits, truths },
        _ => Scored::Labels { logits: &logits, labels: width, truths },
    };
    let Fit { temperature, standard_error } = fit(&rows).unwrap();
    // Both sides solve for a zero of the slope; the reference has its second derivative from differences.
    near(name, temperature, &case["temperature"], 1e-9);
    near(name, standard_error.unwrap(), &case["standard_error"], 1e-6);
    for (at, temperature) in [1.0, temperature].into_iter().enumerate() {
        let Quality { log_loss, calibration_error } = rows.quality(temperature);
        near(name, log_loss, &case["log_loss"][at], 1e-9);
        near(name, calibration_error.unwrap(), &case["calibration_error"][at], 1e-9);
    }
}

#[test]
fn temperatures_are_those_of_scipy() {
    let cases = golden("fits");
    assert!(cases.len() >= 6);
    cases.iter().for_each(check_fit);
}

#[track_caller]
fn check_choice(what: &str, got: Result<Abstention, Unreachable>, want: &Value) {
    match got {
        Err(_) => assert!(want.is_null(), "{what}: nothing, expected {want}"),
        Ok(found) => {
            assert_eq!(
                (found.below, found.answered),
                (want["below"].as_f64().unwrap(), want["answered"].as_u64().unwrap()),
                "{what}"
            );
            match found.accuracy_at_least {
                Some(limit) => near(what, limit, &want["accuracy_at_least"], 1e-9),
                None => near(what, found.accuracy.unwrap(), &want["accuracy"], 1e-12),
            }
        }
    }
}

#[test]
fn selective_figures_and_thresholds_are_those_of_trying_all() {
    let cases = golden("selective");
    assert!(cases.len() >= 7);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let right = case["right"].as_array().unwrap().iter().map(|right| right.as_bool().unwrap());
        let mut rows: Vec<(f64, bool)> = numbers(&case["confidence"]).into_iter().zip(right).collect();
        // Their order must not count.
        rows.reverse();
        let ranked = Ranked::of(rows.into_iter()).unwrap();
        let RiskCoverage { area, points } = ranked.risk_coverage();
        near(name, area, &case["area"], 1e-12);
        for (point, want) in points.iter().zip(case["points"].as_array().unwrap()) {
            assert_eq!(
                (point.rows, point.confidence),
                (want["rows"].as_u64().unwrap(), want["confidence"].as_f64().unwrap()),
                "{name}"
            );
            near(name, point.accuracy, &want["accuracy"], 1e-12);
        }
        for choice in case["choices"].as_array().unwrap() {
            let (target, certainty) = (choice["target"].as_f64().unwrap(), choice["certainty"].as_f64().unwrap());
            let what = format!("{name}, {target}");
            check_choice(&what, Abstention::meeting(target, &ranked), &choice["meeting"]);
            check_choice(&what, Abstention::guaranteeing(target, certainty, &ranked), &choice["guaranteeing"]);
        }
    }
    assert_eq!(Ranked::of(std::iter::empty()), None);
    assert_eq!(Ranked::of([(f64::NAN, true)].into_iter()), None);
}

#[test]
fn binomial_tails_and_limits_are_those_of_scipy() {
    for case in golden("upper_limits") {
        let (count, trials) = (case["count"].as_u64().unwrap(), case["trials"].as_u64().unwrap());
        near(&case.to_string(), upper_limit(count, trials, case["tail"].as_f64().unwrap()), &case["limit"], 1e-9);
    }
    for case in golden("at_most") {
        let (count, trials) = (case["count"].as_u64().unwrap(), case["trials"].as_u64().unwrap());
        near(&case.to_string(), at_most(count, trials, case["chance"].as_f64().unwrap()), &case["probability"], 1e-8);
    }
}

#[test]
fn the_loss_is_never_worse_and_no_other_temperature_is_better() {
    let mut random = Random(5);
    for round in 0..120 {
        let (classes, spread) = (2 + round % 7, 0.1 * 1.09f64.powi(round as i32));
        let (logits, mut labels) = random.classes(30 + round, classes, spread);
        // Of some sets the labels are noise, of others the opposite of what is said.
        if round % 3 == 0 {
            labels.iter_mut().for_each(|label| *label = (random.next() * classes as f64) as u32);
        }
        let rows = Scored::Classes { logits: &logits, classes, labels };
        let loss = |temperature: f64| rows.quality(temperature).log_loss;
        match fit(&rows) {
            Ok(Fit { temperature, standard_error }) => {
                assert!((COLDEST..=HOTTEST).contains(&temperature), "{temperature}");
                assert_eq!(standard_error.is_none(), temperature == COLDEST || temperature == HOTTEST);
                assert!(loss(temperature) <= loss(1.0), "round {round}: {temperature}");
                for other in [temperature * 0.999, temperature * 1.001, 0.06, 0.5, 3.0, 19.0] {
                    let allowed = (COLDEST..=HOTTEST).contains(&other);
                    assert!(
                        !allowed || loss(temperature) <= loss(other) * (1.0 + 1e-14),
                        "round {round}: {temperature} {other}"
                    );
                }
            }
            Err(why) => assert!(matches!(why, NoFit::AllRight(_)), "{why}"),
        }
    }
}

#[test]
fn rows_that_keep_their_promise_have_temperature_one() {
    for (seed, spread) in [(1, 3.0), (2, 6.0), (3, 12.0), (4, 1.0)] {
        let (logits, labels) = Random(seed).classes(4000, 5, spread);
        let doubled: Vec<f32> = logits.iter().map(|logit| 2.0 * logit).collect();
        let of = |logits| fit(&Scored::Classes { logits, classes: 5, labels: labels.clone() }).unwrap();
        let (found, twice) = (of(&logits), of(&doubled));
        let error = found.standard_error.unwrap();
        // Four standard errors, which themselves are small.
        assert!((found.temperature - 1.0).abs() < 4.0 * error && error < 0.2, "{found:?}");
        assert!((twice.temperature / found.temperature - 2.0).abs() < 1e-10, "{found:?} {twice:?}");
    }
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let labels = |rows: usize| (0..rows as u32).map(|row| row % 2).collect::<Vec<_>>();
    // The logit of the true class, over 0 for the other.
    let logits = |of: &[f32]| -> Vec<f32> {
        of.iter().enumerate().flat_map(|(row, &logit)| if row % 2 == 0 { [logit, 0.0] } else { [0.0, logit] }).collect()
    };
    let check = |of: &[f32], want: Result<f64, NoFit>| {
        let logits = logits(of);
        let found = fit(&Scored::Classes { logits: &logits, classes: 2, labels: labels(of.len()) });
        assert_eq!(found.map(|fit| fit.temperature), want);
    };
    check(&[1.0; 29], Err(NoFit::FewRows(29)));
    check(&[0.5; 30], Err(NoFit::AllRight(30)));
    check(&[0.0; 30], Err(NoFit::AllRight(30)));
    let mut diverged = [1.0; 30];
    diverged[7] = f32::NAN;
    check(&diverged, Err(NoFit::NotFinite));
    // All wrong: the loss falls with ever larger temperatures. One wrong by next to nothing: with ever smaller ones, nearly.
    check(&[-1.0; 30], Ok(HOTTEST));
    let mut nearly = [2.0; 100];
    nearly[3] = -1e-20;
    check(&nearly, Ok(COLDEST));
    // Two logits are one: their difference.
    let (mut random, mut differences) = (Random(9), Vec::new());
    differences.extend((0..200).map(|_| (8.0 * random.next() - 2.0) as f32));
    let pairs = logits(&differences);
    let truths: Vec<bool> = labels(200).iter().map(|&label| label == 1).collect();
    let single: Vec<f32> = differences.iter().zip(&truths).map(|(&z, &truth)| if truth { z } else { -z }).collect();
    let two = fit(&Scored::Classes { logits: &pairs, classes: 2, labels: labels(200) }).unwrap();
    let one = fit(&Scored::Binary { logits: &single, truths }).unwrap();
    assert!((two.temperature - one.temperature).abs() < 1e-9, "{two:?} {one:?}");
}

/// A temperature moves probabilities and no decision, also where logits are neighbouring numbers.
#[test]
fn decisions_stay() {
    let names = |count: usize| (0..count).map(|n| format!("label {n}")).collect::<Vec<_>>();
    let row = Row { text: "x".into(), text_b: None, words: None, label: None, line: 1 };
    let mut random = Random(3);
    let mut task_of = |kind: usize| -> Box<dyn Task<Cpu>> {
        let labels = Labels::from_names(names(4)).unwrap();
        match kind {
            0 => Box::new(SingleLabel::new(labels)),
            1 => Box::new(Binary::new("no".into(), "yes".into()).unwrap()),
            _ => Box::new(MultiLabel::new(labels, '|').with_thresholds((0..4).map(|_| random.next()).collect())),
        }
    };
    let mut logits_random = Random(4);
    for round in 0..600 {
        let mut task = task_of(round % 3);
        let mut logits: Vec<f32> = (0..4).map(|_| (10.0 * logits_random.next() - 5.0) as f32).collect();
        logits[1] = logits[0].next_up();
        if round % 3 == 1 {
            logits = vec![if round % 2 == 0 { f32::MIN_POSITIVE } else { -f32::MIN_POSITIVE }];
        }
        let key = if round % 3 == 2 { "labels" } else { "label" };
        let answer = Answer { logits: &logits, words: &[] };
        let before = task.predict(&row, answer);
        *task.temperature().unwrap() = 0.3 + 6.0 * logits_random.next();
        let after = task.predict(&row, answer);
        assert_eq!(before.json[key], after.json[key], "round {round}");
        if round % 3 == 0 {
            assert_ne!(before.json["score"], after.json["score"], "round {round}");
        }
    }
    // The thresholds that a report shows stand beside the calibrated probabilities.
    let labels = Labels::from_names(names(1)).unwrap();
    let mut task: Box<dyn Task<Cpu>> = Box::new(MultiLabel::new(labels, '|').with_thresholds(vec![0.2]));
    *task.temperature().unwrap() = 2.0;
    let report = serde_json::to_value(task.report(&[0.0], &Targets::Sets(vec![vec![0]]))).unwrap();
    // sigmoid(logit(0.2) / 2) is 1/3: the odds 1/4 become 1/2.
    assert!((report["thresholds"][0].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12, "{report}");
    assert_eq!(task.notes()["thresholds"][0], 0.2);
}

/// Rows are right with the probability that is their confidence, evenly spread: of those above `t` the share (1 + t) / 2 is.
#[test]
fn a_guarantee_holds_for_other_rows_and_a_lucky_threshold_does_not() {
    let (target, certainty, draws) = (0.8, 0.9, 400);
    let mut random = Random(17);
    let (mut lucky, mut broken, mut found) = (0, 0, 0);
    for _ in 0..draws {
        let rows = (0..1500).map(|_| {
            let confidence = random.next();
            (confidence, random.next() < confidence)
        });
        let ranked = Ranked::of(rows).unwrap();
        let misses = |chosen: &Abstention| 0.5 * (1.0 + chosen.below) < target;
        lucky += usize::from(Abstention::meeting(target, &ranked).is_ok_and(|chosen| misses(&chosen)));
        if let Ok(chosen) = Abstention::guaranteeing(target, certainty, &ranked) {
            found += 1;
            broken += usize::from(misses(&chosen));
            assert!(chosen.accuracy_at_least.unwrap() >= target, "{chosen:?}");
        }
    }
    // At most one draw in ten, and a threshold that meets the target on its own rows misses it on others about every second time.
    assert!(found > draws / 2 && broken * 10 <= draws, "{broken} of {found}");
    assert!(lucky > draws / 3, "{lucky}");
}

#[test]
fn abstaining() {
    let ranked = Ranked::of([(0.9, true), (0.8, false), (0.8, true), (0.1, false)].into_iter()).unwrap();
    let chosen = Abstention::below(0.8, &ranked);
    assert_eq!((chosen.answered, chosen.accuracy, chosen.rows), (3, Some(2.0 / 3.0), 4));
    assert_eq!([0.8, 0.79, f64::NAN].map(|confidence| chosen.abstains(confidence)), [false, true, true]);
    assert_eq!(Abstention::below(0.95, &ranked).accuracy, None);
    // So many rows make 11 tests: an eleventh of 1 % each, so that 697 without an error are the fewest for 99 %.
    assert_eq!(Abstention::guaranteeing(0.99, 0.99, &ranked), Err(Unreachable { needed: 697 }));
    assert!(at_most(0, 697, 0.01) <= 0.01 / 11.0 && at_most(0, 696, 0.01) > 0.01 / 11.0);
    let easy = |rows: u32| Ranked::of((0..rows).map(|row| (0.5 + f64::from(row) / 2000.0, true))).unwrap();
    assert_eq!(Abstention::guaranteeing(0.98, 0.95, &easy(900)).unwrap().below, 0.0);
    // Who brings as many as it takes is not asked for more.
    for few in [1, 40, 500] {
        let Err(Unreachable { needed }) = Abstention::guaranteeing(0.995, 0.95, &easy(few)) else {
            panic!("{few} rows")
        };
        assert!(Abstention::guaranteeing(0.995, 0.95, &easy(needed as u32)).is_ok(), "{needed} after {few} rows");
        assert!(Abstention::guaranteeing(0.995, 0.95, &easy(needed as u32 - 1)).is_err(), "{needed} after {few} rows");
    }
}
