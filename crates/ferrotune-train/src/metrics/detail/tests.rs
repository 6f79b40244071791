//! Figures against scikit-learn (`tests/golden/classification.py`), and what happens where there are none.

use super::*;
use crate::metrics::Report;
use crate::tasks::{Binary, SingleLabel, Targets, Task};
use ferrotune_data::Labels;
use ferrotune_tensor::Cpu;
use serde_json::Value;

#[track_caller]
fn near(what: &str, got: Option<f64>, want: &Value) {
    match (got, want.as_f64()) {
        (Some(got), Some(want)) => assert!((got - want).abs() <= 1e-9, "{what}: got {got}, expected {want}"),
        (got, _) => assert!(got.is_none() && want.is_null(), "{what}: got {got:?}, expected {want}"),
    }
}

#[track_caller]
fn near_mean(what: &str, got: MeanOfClasses, want: &Value) {
    near(what, got.value, &want["value"]);
    assert_eq!(got.classes as u64, want["classes"].as_u64().unwrap(), "{what}: classes");
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    value.as_array().unwrap().iter().map(|item| read(item).unwrap()).collect()
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("class {class}")).collect()
}

/// What a task makes of the logits of a case, with its report, which must agree with the figures too.
fn from_logits(case: &Value, names: &[String], labels: &[usize]) -> (Classified, Report) {
    let targets = Targets::Classes(labels.iter().map(|&label| label as u32).collect());
    let rows = case["logits"].as_array().unwrap();
    let task: Box<dyn Task<Cpu>> = if rows[0].is_array() {
        Box::new(SingleLabel::new(Labels::from_names(names.to_vec()).unwrap()))
    } else {
        Box::new(Binary::new(names[0].clone(), names[1].clone()).unwrap())
    };
    let numbers = |row: &Value| row.as_array().cloned().unwrap_or_else(|| vec![row.clone()]);
    let logits: Vec<f32> = rows.iter().flat_map(numbers).map(|number| number.as_f64().unwrap() as f32).collect();
    (task.classified(&logits, &targets).unwrap(), task.report(&logits, &targets))
}

fn check(case: &Value) {
    let name = case["name"].as_str().unwrap();
    let what = |figure: &str| format!("{name}, {figure}");
    let labels = list(&case["labels"], |label| Some(label.as_u64()? as usize));
    let probabilities: Vec<f64> =
        case["probabilities"].as_array().unwrap().iter().flat_map(|row| list(row, Value::as_f64)).collect();
    let names = names(probabilities.len() / labels.len());
    let said = list(&case["said"], |said| Some(said.as_u64()? as usize));
    let want = &case["figures"];
    let mut classified = Classified { names: names.clone(), labels: labels.clone(), predictions: said, probabilities };
    if case["logits"].is_array() {
        let (of_task, report) = from_logits(case, &names, &labels);
        assert_eq!(of_task.predictions, classified.predictions, "{name}");
        let Report::Classification(report) = report else { panic!("{name}: a report of another task") };
        near(&what("loss"), Some(report.loss).filter(|loss| loss.is_finite()), &want["log_loss"]);
        assert_eq!(report.confusion, of_task.confusion().matrix(), "{name}");
        classified = of_task;
    }
    let (confusion, detail) = (classified.confusion(), classified.detail());
    near(&what("accuracy"), Some(confusion.accuracy()), &want["accuracy"]);
    near(&what("macro F1"), Some(confusion.f1_macro()), &want["f1_macro"]);
    near(&what("MCC"), Some(confusion.matthews()), &want["mcc"]);
    near_mean(&what("balanced accuracy"), detail.balanced_accuracy, &want["balanced_accuracy"]);
    near(&what("weighted F1"), Some(detail.f1_weighted), &want["f1_weighted"]);
    near(&what("kappa"), detail.cohen_kappa, &want["cohen_kappa"]);
    let top = detail.most_confused.first().map_or(0, |pair| pair.rows);
    assert_eq!(top, want["most_confused"].as_u64().unwrap(), "{name}");
    near(&what("Brier"), detail.brier, &want["brier"]);
    near_mean(&what("ROC-AUC"), detail.roc_auc, &want["roc_auc"]);
    if names.len() == 2 {
        near(&what("binary ROC-AUC"), detail.roc_auc.value, &want["roc_auc_binary"]);
    }
    near_mean(&what("average precision"), detail.average_precision, &want["average_precision"]);
    for (class, ranking) in detail.rankings.iter().enumerate() {
        near(&what(&ranking.name), ranking.roc_auc, &want["roc_auc_of"][class]);
        near(&what(&ranking.name), ranking.average_precision, &want["average_precision_of"][class]);
    }
    near(&what("calibration error"), detail.calibration_error, &want["calibration_error"]);
    assert_eq!(detail.reliability.len(), want["bins"].as_array().unwrap().len());
    for (number, bin) in detail.reliability.iter().enumerate() {
        let want = &want["bins"][number];
        assert_eq!(bin.rows, want["rows"].as_u64().unwrap(), "{name}, bin {number}");
        near(&what("confidence of a bin"), bin.confidence, &want["confidence"]);
        near(&what("accuracy of a bin"), bin.accuracy, &want["accuracy"]);
    }
    let json = serde_json::to_string(&detail).unwrap();
    assert_eq!(serde_json::from_str::<ClassificationDetail>(&json).unwrap(), detail);
}

#[test]
fn figures_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("../../../../../tests/golden/classification.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 19);
    cases.iter().for_each(check);
}

#[test]
fn a_diverged_model_has_no_figures_of_probabilities() {
    let diverged = Classified {
        names: names(2),
        labels: vec![0, 1, 1],
        predictions: vec![0, 0, 1],
        probabilities: vec![0.9, 0.1, f64::NAN, f64::NAN, 0.2, 0.8],
    };
    let detail = diverged.detail();
    assert_eq!(detail.balanced_accuracy, MeanOfClasses { value: Some(0.75), classes: 2 });
    let none = MeanOfClasses { value: None, classes: 0 };
    assert_eq!((detail.brier, detail.roc_auc, detail.average_precision), (None, none, none));
    assert_eq!((detail.calibration_error, detail.reliability.len()), (None, 0));
    let json = serde_json::to_value(&detail).unwrap();
    assert!(json["brier"].is_null() && json["roc_auc"]["value"].is_null() && json["rankings"][0]["roc_auc"].is_null());
}

#[test]
fn equally_frequent_confusions_come_in_the_order_of_classes() {
    let mut confusion = Confusion::new(3);
    let said = [(0, 1), (2, 0), (2, 0), (1, 2), (1, 2), (0, 0), (2, 1)];
    said.into_iter().for_each(|(label, prediction)| confusion.add(label, prediction));
    let pairs = confusion.most_confused(&names(3), 3);
    let shown: Vec<String> = pairs.iter().map(|p| format!("{} {} {}", p.label, p.predicted, p.rows)).collect();
    assert_eq!(shown, ["class 1 class 2 2", "class 2 class 0 2", "class 0 class 1 1"]);
}
