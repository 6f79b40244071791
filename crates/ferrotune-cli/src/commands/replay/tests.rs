//! Runs that are made again, whole: equal bytes, and everything that is refused or said.

use super::super::tiny;
use super::*;
use crate::exit::MODEL;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A run in `run`, of `train.csv` and `test.csv`.
fn trained() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.csv"), tiny::rows(120, 0)).unwrap();
    fs::write(folder.path().join("test.csv"), tiny::rows(40, 500)).unwrap();
    let mut settings = tiny::settings(folder.path());
    // What holds rows out and what is drawn in training must come again too.
    settings.test = Some(folder.path().join("test.csv"));
    settings.seed = Some(7);
    settings.dropout = Some(0.1);
    tiny::train(settings).map_err(|failure| failure.message).unwrap();
    folder
}

fn args(folder: &Path) -> ReplayArgs {
    ReplayArgs {
        manifest: folder.join("run"),
        output: None,
        data_root: None,
        model: None,
        check: false,
        overwrite: false,
        threads: None,
    }
}

fn said(args: &ReplayArgs) -> Result<String, (u8, String)> {
    let mut lines = Vec::new();
    match replay(args, &AtomicBool::new(false), &mut |line| lines.push(line)) {
        Ok(()) => Ok(lines.join("\n")),
        Err(failure) => Err((failure.code, lines.join("\n") + "\n" + &failure.message)),
    }
}

fn manifest(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join(MANIFEST)).unwrap()).unwrap()
}

#[test]
fn a_run_comes_again_to_the_byte() {
    let folder = trained();
    let run = folder.path().join("run");
    let text = said(&args(folder.path())).unwrap();
    assert!(text.contains("same       2 files of rows, 3 of the base model"), "{text}");
    let replayed = folder.path().join("run-replay");
    let weights = |run: &Path| fs::read(run.join("best/model.safetensors")).unwrap();
    let sum = manifest(&run)["weights"]["sha256"].as_str().unwrap().to_string();
    assert!(text.contains("byte-equal ") && text.ends_with(&sum), "{text}");
    assert_eq!(weights(&run), weights(&replayed));
    // The weights were trained, and the replay has the same manifest but for where it lies.
    assert_ne!(weights(&run), fs::read(tiny::encoder().join("model.safetensors")).unwrap());
    let (mut then, mut now) = (manifest(&run), manifest(&replayed));
    assert_ne!(then["settings"]["output"], now["settings"]["output"]);
    then["settings"]["output"] = Value::Null;
    now["settings"]["output"] = Value::Null;
    assert_eq!(then, now);
    // A folder that holds a run is not written over unasked.
    let (code, message) = said(&args(folder.path())).unwrap_err();
    let advice = "holds an earlier run: say --overwrite to replace it, or name another --output";
    assert!(code == 2 && message.contains(advice), "{message}");
    assert!(said(&ReplayArgs { check: true, ..args(folder.path()) }).is_ok(), "what is only compared replaces nothing");
    assert!(said(&ReplayArgs { overwrite: true, ..args(folder.path()) }).unwrap().contains("byte-equal"));
}

#[test]
fn what_differs_is_named() {
    let folder = trained();
    let base = || args(folder.path());
    let at = |name: &str| folder.path().join(name);
    let nothing_is_trained = || assert!(!at("run-replay").exists());

    // One byte of one file.
    let good = fs::read(at("train.csv")).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() = b' ';
    fs::write(at("train.csv"), &bad).unwrap();
    let sum = |bytes: &[u8]| ferrotune_train::store::fingerprint::sha256_bytes(bytes);
    let (code, message) = said(&base()).unwrap_err();
    let named = format!(
        "differs    train: train.csv in {}: SHA-256 {} expected, {} found",
        at("train.csv").display(),
        sum(&good),
        sum(&bad)
    );
    assert!(code == OTHER_RUN && message.contains(&named) && !message.contains("test.csv"), "{message}");
    nothing_is_trained();

    // The files elsewhere; the model elsewhere and another.
    fs::create_dir(at("moved")).unwrap();
    fs::write(at("moved/train.csv"), &good).unwrap();
    let elsewhere = || ReplayArgs { data_root: Some(at("moved")), check: true, ..base() };
    let (code, message) = said(&elsewhere()).unwrap_err();
    assert!(code == IO && message.contains("test.csv") && message.contains("--data-root"), "{message}");
    fs::rename(at("test.csv"), at("moved/test.csv")).unwrap();
    let text = said(&elsewhere()).unwrap();
    assert!(!text.contains("differs"), "{text}");
    let other = tiny::encoder().join("../../tiny-tokens/model").display().to_string();
    let (code, message) = said(&ReplayArgs { model: Some(other.clone()), ..elsewhere() }).unwrap_err();
    // The folder that was read, and not the one of then.
    let named = format!("differs    model: model.safetensors in {other}: SHA-256 ");
    assert!(code == OTHER_RUN && message.contains(&named), "{message}");
    nothing_is_trained();

    // Another version and instruction set are said and do not hinder; other weights are an error of their own.
    let mut changed = manifest(&at("run"));
    changed["ferrotune"] = "0.0.1".into();
    changed["processor"] = "abacus".into();
    changed["weights"]["sha256"] = "0".repeat(64).into();
    fs::write(at("changed.json"), changed.to_string()).unwrap();
    let of = |file: &str| ReplayArgs { manifest: at(file), output: Some(at("out")), ..elsewhere() };
    let (code, message) = said(&ReplayArgs { check: false, ..of("changed.json") }).unwrap_err();
    assert_eq!(code, UNEQUAL, "{message}");
    for part in [
        "differs    ferrotune 0.1.0, then 0.0.1",
        " instead of abacus",
        "the weights are not equal: ",
        "the likely reason: ",
    ] {
        assert!(message.contains(part), "no {part:?} in\n{message}");
    }

    for (change, code, part) in [
        (json!({ "format": 2 }), MODEL, "is a manifest of format 2"),
        (json!({ "model": null }), MODEL, "is a damaged manifest"),
        (json!({ "format": null }), MODEL, "has no `format`"),
        (json!({ "settings": { "colour": "red" } }), 2, "unknown key `colour`"),
    ] {
        let mut changed = manifest(&at("run"));
        change.as_object().unwrap().iter().for_each(|(key, value)| changed[key] = value.clone());
        fs::write(at("changed.json"), changed.to_string()).unwrap();
        let (got, message) = said(&of("changed.json")).unwrap_err();
        assert!(got == code && message.contains(part), "{got}: {message}");
    }
    let (code, message) = said(&ReplayArgs { manifest: at("none.json"), ..base() }).unwrap_err();
    assert!(code == IO && message.contains("none.json"), "{message}");
}

/// Where other weights come of other settings, the tensors that differ are counted.
#[test]
fn unequal_weights_are_compared() {
    let folder = trained();
    let run = folder.path().join("run");
    let mut changed = manifest(&run);
    changed["settings"]["seed"] = 8.into();
    fs::write(run.join(MANIFEST), changed.to_string()).unwrap();
    let (code, message) = said(&args(folder.path())).unwrap_err();
    assert!(code == UNEQUAL && message.contains(" tensors, by at most "), "{message}");
    assert!(message.contains("so that this is a defect"), "{message}");
}
