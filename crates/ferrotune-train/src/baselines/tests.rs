//! Baselines against scikit-learn (`tests/golden/baselines.py`), and on rows whose answer is known.

use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    classes: usize,
    c: f64,
    texts: Vec<String>,
    labels: Vec<u32>,
    measured: Vec<String>,
    weights: Vec<BTreeMap<String, f64>>,
    probabilities: Vec<f64>,
}

fn rows(texts: &[String]) -> Vec<Row> {
    let row = |text: &String| Row { text: text.clone(), text_b: None, words: None, label: None, line: 2 };
    texts.iter().map(row).collect()
}

#[test]
fn scikit_learn_gives_the_same() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/baselines.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(golden.cases.len(), 4);
    for case in golden.cases {
        let (train, measured) = (rows(&case.texts), rows(&case.measured));
        let tf_idf = TfIdf::fit(&train, usize::MAX);
        let (x, y) = (tf_idf.transform(&train), tf_idf.transform(&measured));
        for (row, weights) in case.weights.iter().enumerate() {
            // Columns have another order here: the values of a row, sorted, are the same.
            let sorted = |mut values: Vec<f64>| {
                values.sort_by(f64::total_cmp);
                values
            };
            let (got, wanted) =
                (sorted(y.row(row).map(|(_, v)| v).collect()), sorted(weights.values().copied().collect()));
            assert_eq!(got.len(), wanted.len(), "row {row}");
            got.iter().zip(&wanted).for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} {b}"));
        }
        let model = Logistic::fit_until(1e-7, &x, &case.labels, case.classes, case.c).unwrap();
        // The objective curves by at least 1 / (C rows) where it is penalised, the gradient that is left is below 1e-7, rows with the intercept are
        // at most √2 long, and a probability changes by at most a quarter of its logit (half, where all logits move).
        let allowed = 0.5 * 2f64.sqrt() * 1e-7 * case.c * case.labels.len() as f64;
        for (got, wanted) in model.probabilities(&y).iter().zip(&case.probabilities) {
            assert!((got - wanted).abs() < allowed, "{} classes: {got} instead of {wanted}", case.classes);
        }
    }
}

#[test]
fn the_majority_says_one_class_with_its_share() {
    let names = ["a", "b", "c"].map(String::from);
    let said = majority(&[2, 1, 1, 2, 0], &[0, 1], &names);
    assert_eq!((said.predictions, said.labels), (vec![1, 1], vec![0, 1]));
    assert_eq!(said.probabilities, [0.2, 0.4, 0.4, 0.2, 0.4, 0.4]);
}

#[test]
fn words_that_tell_classes_apart_are_found() {
    let text = |row: usize| format!("filler{} {}", row % 7, ["yes", "no", "perhaps"][row % 3]);
    let texts: Vec<String> = (0..60).map(text).collect();
    let classes: Vec<u32> = (0..60).map(|row| row % 3).collect();
    let (train, names) = (rows(&texts), ["a", "b", "c"].map(String::from));
    let said = words(
        ClassRows { rows: &train, classes: &classes },
        ClassRows { rows: &rows(&["no".into(), "perhaps filler1".into(), "yes filler2".into()]), classes: &[1, 2, 0] },
        &names,
    );
    assert_eq!(said.unwrap().predictions, [1, 2, 0]);
}
