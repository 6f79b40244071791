//! What is refused before anything is written: settings that do not go together on a model, a resume with others.

use crate::args::{Switch, TrainSettings};
use crate::commands::tiny;
use crate::exit::{OTHER_RUN, USAGE};
use serde_json::Value;
use std::fs;

#[test]
fn a_resume_that_is_refused_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.csv"), tiny::rows(120, 0)).unwrap();
    let base = || tiny::settings(folder.path());
    let run = tiny::train(base()).map_err(|failure| failure.message).unwrap();
    let settings = || fs::read_to_string(run.join("ferrotune.toml")).unwrap();
    let before = settings();
    let Err(failure) = tiny::resume(TrainSettings { lr: Some(1e-3), ..base() }) else { panic!("not refused") };
    assert_eq!((failure.code, settings()), (OTHER_RUN, before.clone()), "{}", failure.message);
    // What may differ is written once the run is done; of a run that had no step left no speed is known.
    tiny::resume(TrainSettings { log_every: Some(3), ..base() }).map_err(|failure| failure.message).unwrap();
    assert_eq!(settings(), before.replace("log-every = 10", "log-every = 3"));
    let results: Value = serde_json::from_slice(&fs::read(run.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["train"]["samples_per_second"], Value::Null);
}

#[test]
fn what_would_never_move_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.csv"), tiny::rows(120, 0)).unwrap();
    let base = || tiny::settings(folder.path());
    let encoder = || Some("encoder".to_string());
    for (settings, part) in [
        (
            TrainSettings { lora_rank: Some(2), freeze: encoder(), ..base() },
            "--lora-rank trains adapters of the encoder, and --freeze holds them all",
        ),
        (
            TrainSettings { bitfit: Some(Switch::On), freeze: encoder(), ..base() },
            "--bitfit trains biases of the encoder, and --freeze holds them all",
        ),
        (TrainSettings { reinit_layers: Some(1), freeze: encoder(), ..base() }, "--reinit-layers 1 gives bert."),
        (TrainSettings { reinit_layers: Some(1), lora_rank: Some(2), ..base() }, "--reinit-layers 1 gives bert."),
        (TrainSettings { reinit_layers: Some(1), bitfit: Some(Switch::On), ..base() }, "--reinit-layers 1 gives bert."),
        (
            TrainSettings { gradual_unfreezing: Some(1), freeze: encoder(), ..base() },
            "--gradual-unfreezing has nothing to unfreeze",
        ),
        (
            TrainSettings { gradual_unfreezing: Some(1), ..base() },
            "with --epochs the run ends in epoch 2: take 4 epochs",
        ),
        // 96 rows in batches of 16 are 6 steps an epoch.
        (
            TrainSettings { gradual_unfreezing: Some(1), epochs: Some(4), max_steps: Some(18), ..base() },
            "with --max-steps the run ends in epoch 3: take 4 epochs",
        ),
    ] {
        let Err(failure) = tiny::train(settings) else { panic!("{part}: not refused") };
        assert!(failure.code == USAGE && failure.message.contains(part), "{part}: {}", failure.message);
        assert!(!folder.path().join("run").exists(), "{part}");
    }
    let moves = TrainSettings { gradual_unfreezing: Some(1), epochs: Some(4), max_steps: Some(19), ..base() };
    tiny::train(moves).map_err(|failure| failure.message).unwrap();
}
