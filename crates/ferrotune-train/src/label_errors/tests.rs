//! Confident learning against cleanlab (`tests/golden/label_errors.py`).

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    classes: usize,
    labels: Vec<u32>,
    probabilities: Vec<f32>,
    thresholds: Vec<f64>,
    counts: Vec<usize>,
    suspects: Vec<bool>,
    self_confidence: Vec<f64>,
    normalized_margin: Vec<f64>,
}

/// Sums of f32 probabilities in f64 differ in their order alone.
fn assert_near(what: &str, got: f64, wanted: f64) {
    assert!((got - wanted).abs() < 1e-12, "{what}: {got} instead of {wanted}");
}

#[test]
fn cleanlab_gives_the_same() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/label_errors.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(golden.cases.len(), 3);
    for case in golden.cases {
        let joint = confident_joint(&case.probabilities, &case.labels, case.classes);
        joint.thresholds.iter().zip(&case.thresholds).for_each(|(&got, &wanted)| assert_near("threshold", got, wanted));
        assert_eq!(joint.counts, case.counts);
        assert_eq!(joint.suspects, case.suspects);
        let ranked = ranked(&case.probabilities, &case.labels, &joint);
        assert_eq!(ranked.len(), case.labels.len());
        for judged in &ranked {
            assert_near("self-confidence", judged.self_confidence, case.self_confidence[judged.row]);
            // cleanlab's lies between 0 and 1.
            assert_near("margin", (judged.margin + 1.0) / 2.0, case.normalized_margin[judged.row]);
        }
        let order = |judged: &Judged| (!judged.suspect, judged.margin);
        assert!(ranked.is_sorted_by(|a, b| order(a) <= order(b)));
        assert!(ranked[0].suspect && ranked.iter().filter(|judged| judged.suspect).count() < ranked.len() / 3);
    }
}

#[test]
fn a_class_without_rows_is_nobodys() {
    let joint = confident_joint(&[0.2, 0.8, 0.0, 0.9, 0.1, 0.0, 0.0, 0.0, 1.0], &[0, 0, 0], 3);
    assert_eq!(joint.counts, [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(joint.suspects, [false; 3]);
}
