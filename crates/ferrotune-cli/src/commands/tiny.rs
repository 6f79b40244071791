//! A run for tests: a tiny random encoder learns whether a text has the word rain. Of the rows without it a fifth say the wrong
//! label, so that one of two classes can be trusted. Seconds.

use super::train::one;
use crate::args::TrainSettings;
use crate::exit::Failure;
use crate::settings::resolve;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The encoder: three labels, 64 positions, a vocabulary of 120.
pub fn encoder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny-single/model")
}

/// A table of so many rows. Other numbers to begin with give other rows.
pub fn rows(count: usize, first: usize) -> String {
    let vocabulary = fs::read_to_string(encoder().join("vocab.txt")).unwrap();
    let is_word = |word: &&str| word.len() > 2 && *word != "rain" && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&str> = vocabulary.lines().filter(is_word).collect();
    let row = |n: usize| {
        let word = |k: usize| words[(n * 31 + k * k * 17 + n / 7) % words.len()];
        let wet = n.is_multiple_of(3);
        let text = [word(1), if wet { "rain rain" } else { word(2) }, word(3)].join(" ");
        format!("{text},{}\n", if wet || n % 5 == 3 { "wet" } else { "dry" })
    };
    std::iter::once("text,label\n".to_string()).chain((first..first + count).map(row)).collect()
}

/// Settings of a run in a folder that has `train.csv`.
pub fn settings(folder: &Path) -> TrainSettings {
    TrainSettings {
        model: Some(encoder().display().to_string()),
        train: Some(folder.join("train.csv")),
        output: Some(folder.join("run")),
        lr: Some(3e-3),
        epochs: Some(2),
        batch_size: Some(16),
        max_length: Some(32),
        validation_share: Some(0.2),
        ..TrainSettings::default()
    }
}

/// Trains; the run folder.
pub fn train(settings: TrainSettings) -> Result<PathBuf, Failure> {
    run(settings, false)
}

/// Goes on with a run, or comes to its end again.
pub fn resume(settings: TrainSettings) -> Result<PathBuf, Failure> {
    run(settings, true)
}

fn run(settings: TrainSettings, resume: bool) -> Result<PathBuf, Failure> {
    let resolved = resolve(settings, TrainSettings::default())?;
    let output = resolved.output.clone();
    one(resolved, resume, false, &AtomicBool::new(false)).map(|_| output)
}
