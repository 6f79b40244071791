//! The command on a model that was trained for it: what it says and writes, what stays, and every mistake.

use super::super::tiny;
use super::*;
use crate::args::{DeviceArgs, Precision, PredictArgs, TaskName, TextColumns, TrainSettings};
use crate::exit::USAGE;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn device_args() -> DeviceArgs {
    DeviceArgs {
        #[cfg(feature = "cuda")]
        device: Default::default(),
        precision: Precision::F32,
    }
}

fn args(model: &Path, data: PathBuf) -> CalibrateArgs {
    CalibrateArgs {
        model: model.display().to_string(),
        data,
        target_accuracy: None,
        certainty: 0.95,
        abstain_below: None,
        json: false,
        columns: TextColumns::default(),
        label_column: None,
        threads: None,
        device: device_args(),
    }
}

fn said(args: &CalibrateArgs) -> Result<String, (u8, String)> {
    let mut lines = Vec::new();
    calibrate(args, &mut |line| lines.push(line)).map_err(|failure| (failure.code, failure.message))?;
    Ok(lines.join("\n"))
}

/// A trained model, and `more.csv` with rows that it has not seen.
fn trained() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.csv"), tiny::rows(240, 0)).unwrap();
    fs::write(folder.path().join("more.csv"), tiny::rows(900, 1000)).unwrap();
    let run = tiny::train(settings(folder.path())).map_err(|failure| failure.message).unwrap();
    (folder, run.join("best"))
}

fn settings(folder: &Path) -> TrainSettings {
    TrainSettings { epochs: Some(4), ..tiny::settings(folder) }
}

fn notes(model: &Path) -> Value {
    serde_json::from_slice(&fs::read(model.join("ferrotune.json")).unwrap()).unwrap()
}

/// Predicts for a file.
fn predict(model: &Path, input: &Path, output: &Path) -> Result<(), (u8, String)> {
    let args = PredictArgs {
        overwrite: true,
        model: model.display().to_string(),
        input: input.display().to_string(),
        output: output.display().to_string(),
        format: None,
        input_format: None,
        logits: false,
        with_input: false,
        max_length: None,
        columns: TextColumns::default(),
        threads: None,
        device: device_args(),
    };
    let device = device(args.device.device(), args.device.precision).unwrap();
    device.run(&args).map_err(|failure| (failure.code, failure.message))
}

/// What `predict` writes for more.csv, as records.
fn predictions(model: &Path, folder: &Path) -> Vec<Vec<String>> {
    let output = folder.join("out.csv");
    predict(model, &folder.join("more.csv"), &output).unwrap();
    let text = fs::read_to_string(output).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_string).collect()).collect()
}

#[test]
fn a_run_is_calibrated_and_the_command_does_it_again() {
    let (folder, model) = trained();
    let results: Value = serde_json::from_slice(&fs::read(model.join("../results.json")).unwrap()).unwrap();
    let of_run = notes(&model)["calibration"].clone();
    assert_eq!(of_run["temperature"], results["calibration"]["temperature"]);
    assert_eq!(of_run["rows"], 48);
    let effect = &results["calibration"]["validation"];
    assert!(effect["after"]["log_loss"].as_f64() <= effect["before"]["log_loss"].as_f64(), "{effect}");
    let before = predictions(&model, folder.path());
    assert_eq!(before[0].join(","), "text,label,predicted_label,score,p_dry,p_wet");

    let more = folder.path().join("more.csv");
    let base = || args(&model, more.clone());
    let text = said(&CalibrateArgs { target_accuracy: Some(0.95), ..base() }).unwrap();
    for part in [
        "calibration temperature ",
        "on 900 rows of ",
        "on the rows that it was fitted on",
        "   100 %  900 ",
        "abstains    below probability 0.",
        "for an accuracy of 95 %: 95 % sure that it is at least 9",
        "with --certainty 0: below 0.",
        "wrote ",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let now = notes(&model);
    assert_ne!(now["calibration"]["temperature"], of_run["temperature"]);
    assert_eq!((&now["task"]["name"], &now["max_length"]), (&"classification".into(), &32.into()));
    let chosen = now["calibration"]["abstention"].clone();
    let below = chosen["below"].as_f64().unwrap();
    // The labels stay, probabilities move, and abstentions are those that were counted.
    let after = predictions(&model, folder.path());
    assert_eq!(after[0].join(","), "text,label,predicted_label,score,p_dry,p_wet,abstains");
    let labels = |rows: &[Vec<String>]| rows.iter().map(|row| row[2].clone()).collect::<Vec<_>>();
    assert_eq!(labels(&before), labels(&after));
    assert!(before[1][3] != after[1][3]);
    let answered = after[1..].iter().filter(|row| row[6] == "false").count();
    assert_eq!(answered as u64, chosen["answered"].as_u64().unwrap());
    assert!(answered > 0 && answered < 900, "{answered}");
    for row in &after[1..] {
        let score: f64 = row[3].parse().unwrap();
        // Six digits are shown.
        assert!((score - below).abs() < 1e-6 || (row[6] == "true") == (score < below), "{row:?} {below}");
    }

    // Without a target the threshold goes, aloud; one that is said stays.
    let text = said(&base()).unwrap();
    assert!(text.contains("no longer: the threshold "), "{text}");
    assert_eq!(notes(&model)["calibration"].get("abstention"), None);
    let json: Value =
        serde_json::from_str(&said(&CalibrateArgs { abstain_below: Some(0.75), json: true, ..base() }).unwrap())
            .unwrap();
    assert_eq!((&json["abstention"]["below"], &json["rows"]), (&0.75.into(), &900.into()));
    assert_eq!(notes(&model)["calibration"]["abstention"], json["abstention"]);
    assert_eq!(json["risk_coverage"]["points"][0]["coverage"], 1.0);

    // A resumed run that comes to the same weights leaves what they were calibrated with; other weights are calibrated anew.
    let before = notes(&model);
    tiny::resume(settings(folder.path())).map_err(|failure| failure.message).unwrap();
    assert_eq!(notes(&model), before);
    fs::write(model.join("model.safetensors"), "other weights").unwrap();
    tiny::resume(settings(folder.path())).map_err(|failure| failure.message).unwrap();
    assert_eq!(notes(&model)["calibration"], of_run);
}

#[test]
fn predictions_are_not_predicted_again_into_the_same_columns() {
    let (folder, model) = trained();
    predictions(&model, folder.path());
    let (input, output) = (folder.path().join("out.csv"), folder.path().join("again.csv"));
    let (code, message) = predict(&model, &input, &output).unwrap_err();
    assert!(code == DATA && message.contains("out.csv has a column `predicted_label` already"), "{code}: {message}");
    assert!(!output.exists());
}

#[test]
fn mistakes_are_named_and_write_nothing() {
    let (folder, model) = trained();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("few.csv"), tiny::rows(29, 0)).unwrap();
    fs::write(at("other.csv"), "text,label\nrain,snow\n").unwrap();
    let untouched = fs::read(model.join("ferrotune.json")).unwrap();
    let base = || args(&model, at("more.csv"));
    for (args, code, part) in [
        (CalibrateArgs { data: at("none.csv"), ..base() }, crate::exit::IO, "none.csv"),
        (CalibrateArgs { data: at("few.csv"), ..base() }, DATA, "29 rows are fewer than 30"),
        (CalibrateArgs { data: at("other.csv"), ..base() }, DATA, "snow"),
        (CalibrateArgs { target_accuracy: Some(1.0), ..base() }, USAGE, "--target-accuracy is 1; it must be above 0"),
        (CalibrateArgs { target_accuracy: Some(0.9), certainty: 1.0, ..base() }, USAGE, "--certainty is 1"),
        (CalibrateArgs { abstain_below: Some(1.5), ..base() }, USAGE, "--abstain-below is 1.5"),
        (CalibrateArgs { target_accuracy: Some(0.9999), ..base() }, DATA, "answered rows without an error"),
    ] {
        let (got, message) = said(&args).unwrap_err();
        assert!(got == code && message.contains(part), "{got}: {message}");
    }
    assert_eq!(fs::read(model.join("ferrotune.json")).unwrap(), untouched);
    let mut damaged = notes(&model);
    damaged["calibration"]["temperature"] = 0.0.into();
    fs::write(model.join("ferrotune.json"), damaged.to_string()).unwrap();
    let (code, message) = said(&base()).unwrap_err();
    assert!(code == MODEL && message.contains("the temperature is out of range"), "{message}");
}

#[test]
fn pairs_and_single_texts_are_told_apart() {
    let (folder, model) = trained();
    let rows = tiny::rows(240, 0).replace("text,label", "text_a text_b,label");
    // The first word of each text is one, what follows the other.
    let rows: String = rows.lines().map(|line| line.replacen(' ', ",", 1) + "\n").collect();
    fs::write(folder.path().join("train.csv"), rows).unwrap();
    let settings = TrainSettings { output: Some(folder.path().join("pairs")), ..settings(folder.path()) };
    let of_pairs = tiny::train(settings).map_err(|failure| failure.message).unwrap().join("best");
    let (pairs, single) = (folder.path().join("train.csv"), folder.path().join("more.csv"));
    let out = folder.path().join("out.csv");
    for (model, data, part) in [
        (&model, &pairs, "was trained on single texts, and "),
        (&of_pairs, &single, "was trained on pairs of texts, and "),
    ] {
        let (code, message) = said(&args(model, data.clone())).unwrap_err();
        assert!(code == DATA && message.contains(part), "{code}: {message}");
        let (code, message) = predict(model, data, &out).unwrap_err();
        assert!(code == DATA && message.contains(part) && !out.exists(), "{code}: {message}");
    }
    predict(&of_pairs, &pairs, &out).unwrap();
}

/// Tasks whose rows do not have one class each: labels have a temperature and no abstention, numbers nothing; two classes on one logit have both.
#[test]
fn other_tasks() {
    for (task, header, wet, dry) in [
        (TaskName::Binary, "text,label", "wet", "dry"),
        (TaskName::MultiLabel, "text,labels", "wet|any", "any"),
        (TaskName::Regression, "text,score", "1", "0"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let rows = |count, first| {
            let text = tiny::rows(count, first).replacen("text,label", header, 1);
            text.replace(",wet\n", &format!(",{wet}\n")).replace(",dry\n", &format!(",{dry}\n"))
        };
        fs::write(folder.path().join("train.csv"), rows(240, 0)).unwrap();
        fs::write(folder.path().join("more.csv"), rows(300, 1000)).unwrap();
        let settings = TrainSettings { task: Some(task), ..tiny::settings(folder.path()) };
        let model = tiny::train(settings).map_err(|failure| failure.message).unwrap().join("best");
        let calibration = || notes(&model).get("calibration").cloned();
        let base = || args(&model, folder.path().join("more.csv"));
        let abstaining = said(&CalibrateArgs { abstain_below: Some(0.75), ..base() });
        if task == TaskName::Regression {
            assert_eq!(calibration(), None);
            let (code, message) = said(&base()).unwrap_err();
            assert!(code == USAGE && message.contains("nothing to calibrate"), "{message}");
            continue;
        }
        let text = match task {
            TaskName::Binary => abstaining.unwrap(),
            _ => {
                let (code, message) = abstaining.unwrap_err();
                assert!(code == USAGE && message.contains("leave out --target-accuracy"), "{message}");
                assert!(calibration().is_some());
                said(&base()).unwrap()
            }
        };
        assert!(text.contains("calibration temperature ") && text.contains("on 300 rows"), "{text}");
        assert_eq!(text.contains("abstains    below probability 0.75"), task == TaskName::Binary, "{text}");
        let predicted = predictions(&model, folder.path());
        assert_eq!(predicted[0].last().unwrap() == "abstains", task == TaskName::Binary);
        let known = calibration().unwrap();
        assert_eq!(known["rows"], 300, "{known}");
    }
}
