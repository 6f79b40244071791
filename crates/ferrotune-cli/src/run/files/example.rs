//! Folders of finished runs for tests: small, of every task, with names and texts that would be HTML.

use crate::model::calibrated::AtEnd;
use crate::results::evaluation::{self, Environment, Evaluation, Measured, Model};
use ferrotune_data::{Labels, Row};
use ferrotune_tensor::Cpu;
use ferrotune_train::metrics::{EntityCounts, Report, WordReport};
use ferrotune_train::tasks::{MultiLabel, Regression, SingleLabel, Targets, Task};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// A label and a text that end an element where they are not escaped.
pub const HOSTILE: &str = "</td></svg><script>alert(1)</script>";

/// What the run learned.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// One of so many classes.
    Classes(usize),
    /// Sets of labels.
    Sets,
    /// Numbers.
    Numbers,
    /// Tags of words that spell entities.
    Words,
    /// Tags of words that are classes.
    WordClasses,
}

fn labels(count: usize) -> Labels {
    let names = (0..count).map(|n| format!("{n:03} {HOSTILE}")).collect();
    Labels::from_names(names).unwrap()
}

/// Rows of growing length; each fourth is wrong.
fn measured<B: Task<Cpu>>(task: &B, targets: &Targets, logits: &[f32]) -> (Report, Measured) {
    let row = |n: usize| Row {
        text: format!("{HOSTILE} {}", "ä".repeat(n)),
        text_b: None,
        words: None,
        label: None,
        line: n as u64 + 2,
    };
    let rows: Vec<Row> = (0..targets.rows()).map(row).collect();
    (task.report(logits, targets), Measured::of("test", task, logits, targets, &rows))
}

/// The task, its report, and what is measured besides; and the calibration, of classes.
fn result(kind: Kind) -> (&'static str, Report, Option<Measured>, Value) {
    const ROWS: usize = 40;
    match kind {
        Kind::Classes(classes) => {
            let said = |n: usize| if n.is_multiple_of(4) { (n + 1) % classes } else { n % classes };
            let logits: Vec<f32> = (0..ROWS)
                .flat_map(|n| (0..classes).map(move |class| if class == said(n) { 3.0 } else { 0.5 }))
                .collect();
            let targets = Targets::Classes((0..ROWS).map(|n| (n % classes) as u32).collect());
            let mut task = SingleLabel::new(labels(classes));
            let calibration = AtEnd::fit::<Cpu>(&mut task, &logits, &targets).to_json();
            let (report, measured) = measured(&task, &targets, &logits);
            ("classification", report, Some(measured), calibration)
        }
        Kind::Sets => {
            let targets =
                Targets::Sets((0..ROWS).map(|n| if n.is_multiple_of(4) { vec![] } else { vec![0, 2] }).collect());
            let (report, measured) =
                measured(&MultiLabel::new(labels(3), '|'), &targets, &[2.0, -2.0, 2.0].repeat(ROWS));
            ("multi-label", report, Some(measured), Value::Null)
        }
        Kind::Numbers => {
            let targets = Targets::Scores((0..ROWS).map(|n| n as f64).collect());
            let logits: Vec<f32> = (0..ROWS).map(|n| n as f32 + if n.is_multiple_of(4) { 2.0 } else { 0.0 }).collect();
            let (report, measured) = measured(&Regression::new("score".to_string(), None), &targets, &logits);
            ("regression", report, Some(measured), Value::Null)
        }
        Kind::Words => {
            let mut counts = EntityCounts::default();
            let kind = HOSTILE.to_string();
            let tag = ferrotune_data::Tag { place: 'B', kind: &kind };
            counts.add(&[tag, ferrotune_data::Tag::OUTSIDE], &[tag, tag]);
            ("tokens", Report::Tokens(counts.report(0.5)), None, Value::Null)
        }
        Kind::WordClasses => {
            let (_, report, _, _) = result(Kind::Classes(3));
            let Report::Classification(report) = report else { unreachable!("classes have such a report") };
            ("tokens", Report::Words(WordReport::of(report, 1, 7)), None, Value::Null)
        }
    }
}

/// Writes the files of a run. `settings` are lines of its `ferrotune.toml`.
pub fn write(folder: &Path, kind: Kind, settings: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let (task, report, measured, calibration) = result(kind);
    let put = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let chosen = report.summary().values[0].0;
    let ends = |low: f64, high: f64| json!({ "low": low, "high": high });
    let beside = json!({
        "baseline": HOSTILE,
        "rows": "test",
        "accuracy": 0.5,
        "accuracy_interval": ends(0.25, 0.75),
        "f1_macro": 0.375,
        "seconds": 0.125,
        "accuracy_gain": { "difference": 0.125, "interval": ends(-0.0625, 0.25) },
        "f1_macro_gain": { "difference": 0.25, "interval": ends(0.125, 0.375) },
    });
    let results = json!({
        "validation": report,
        "test": report,
        "baselines": if matches!(kind, Kind::Classes(_)) { vec![beside] } else { Vec::new() },
        "calibration": calibration,
        "best_epoch": 2,
        "epochs": [
            {"train_loss": 1.5, "validation": {"loss": 1.25, "value": 0.5}},
            {"train_loss": 0.75, "validation": {"loss": null, "value": 0.75}},
        ],
        "advice": [{"rule": "overfitting", "message": HOSTILE}],
        "seed": 0,
        "restarts": 0,
        "averaged_epochs": [],
        "train": {"samples_per_second": 1234.5, "tokens_per_second": 56789.0, "steps": 20, "seconds": 6.5},
        "peak_memory_mib": 512.0,
    });
    put(super::RESULTS, results.to_string());
    let mut log = String::new();
    for step in 1..=20 {
        log += &json!({"event": "step", "epoch": 1, "step": step, "loss": 2.0 / f64::from(step), "learning_rate": 1e-4, "gradient_norm": step}).to_string();
        log += "\n";
        if step % 10 == 0 {
            let mut row = json!({"event": "evaluated", "split": "validation", "epoch": step / 10, "step": step, "seconds": 0.5, "rows": 40});
            row[chosen.name()] = json!(0.5);
            row["loss"] = json!(1.0);
            log += &format!("{row}\n");
        }
    }
    put(super::LOG, log);
    put(super::SETTINGS, format!("metric = \"{}\"\ntrain = \"/secret/{HOSTILE}.csv\"\n{settings}\n", chosen.name()));
    let sums = |part: &str| (part.to_string(), format!("sum of {part}"));
    let evaluation = Evaluation {
        task: task.to_string(),
        model: Model { model_type: "bert".to_string(), layers: 2, hidden_size: 8, parameters: 12345 },
        rows: BTreeMap::from([("train".to_string(), 1000), ("test".to_string(), 40)]),
        data: BTreeMap::from([sums("train"), sums("test")]),
        environment: Environment::here("cpu".to_string(), "portable".to_string(), "f32".to_string()),
        audit: vec![HOSTILE.to_string()],
        measured,
    };
    put(evaluation::FILE, serde_json::to_string(&evaluation).unwrap());
}
