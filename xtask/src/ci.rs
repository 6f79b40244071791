//! `cargo xtask ci`: the steps of CI, in their order, ended by the first that fails.
//!
//! It must not know a rule of its own: each step is a command or another task. CI calls this task and nothing else, so
//! what passes here passes there.

use std::fs;
use std::time::Instant;

use crate::{Outcome, fetch, process, ptx, tidy, train, walkthrough};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Format, clippy (benches too), tidy, documentation, tests with doctests and with the CUDA kernels played on the CPU, these kernels compiled
for GPUs, the real fine-tune, whose test accuracy must be at least 0.90, and the five commands of the README. Each step is timed; the first
that fails ends the run.";

/// What is behind features: CUDA kernels that the CPU plays, and the command line with `--device cuda`, which starts without a driver. Said with
/// `--workspace`, so that the crates of others are built once: with `-p` they would have other features.
pub const ALL_FEATURES: [&str; 2] =
    ["--features", "ferrotune-cuda/driver,ferrotune-cuda/shim,ferrotune-tests/shim,ferrotune-cli/cuda"];

/// Below this, the real fine-tune has learned too little.
const LEAST_ACCURACY: f64 = 0.90;

/// The tests talk to servers on this machine; a proxy cannot reach those, and hf-hub knows no exceptions from proxies.
const PROXIES: [&str; 6] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

type Step = (&'static str, fn() -> Outcome);

const STEPS: [Step; 9] = [
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("clippy", || clippy(&[])),
    ("clippy of CUDA", clippy_of_cuda),
    ("tidy", || tidy::run(&[])),
    ("documentation", documentation),
    ("tests", tests),
    ("kernels for GPUs", || ptx::run(&[])),
    ("fine-tune", fine_tune),
    ("five commands", || walkthrough::run(&[])),
];

/// Runs the task.
pub fn run(_: &[String]) -> Outcome {
    let start = Instant::now();
    let mut timings = Vec::new();
    for (index, (name, step)) in STEPS.iter().enumerate() {
        println!("\n== {}/{} {name}", index + 1, STEPS.len());
        let step_start = Instant::now();
        let code = step()?;
        let seconds = step_start.elapsed().as_secs_f64();
        if code != 0 {
            eprintln!("\nci: {name} failed after {seconds:.1} s, exit code {code}");
            return Ok(code);
        }
        timings.push(format!("{name} {seconds:.1} s"));
    }
    println!(
        "\nci: all {} steps passed in {:.1} s: {}",
        STEPS.len(),
        start.elapsed().as_secs_f64(),
        timings.join(", ")
    );
    Ok(0)
}

fn cargo(arguments: &[&str]) -> Outcome {
    process::run(process::cargo(arguments).current_dir(process::root()))
}

fn clippy(features: &[&str]) -> Outcome {
    cargo(&[&["clippy", "--workspace", "--all-targets"], features, &["--", "-D", "warnings"]].concat())
}

/// The code behind features, all of it, and the driver without the shim.
fn clippy_of_cuda() -> Outcome {
    match clippy(&ALL_FEATURES)? {
        0 => clippy(&["--features", "ferrotune-cli/cuda"]),
        code => Ok(code),
    }
}

fn documentation() -> Outcome {
    let mut command = process::cargo(&["doc", "--workspace", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings").current_dir(process::root()))
}

/// All tests, those on the real model included: it is fetched first. With all features, so that every CUDA kernel and whole runs are played too.
fn tests() -> Outcome {
    let model = fetch::folder()?;
    let mut command = process::cargo(&[&["test", "--workspace"][..], &ALL_FEATURES].concat());
    for name in PROXIES {
        command.env_remove(name);
    }
    process::run(command.env("FERROTUNE_TEST_MINILM", model).current_dir(process::root()))
}

/// Trains, and reads the accuracy out of the results that this run wrote.
fn fine_tune() -> Outcome {
    let path = process::root().join(train::OUTPUT).join("results.json");
    // Results of an earlier run must not speak for this one.
    if path.exists() {
        fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let code = train::run(&[])?;
    if code != 0 {
        return Ok(code);
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let accuracy =
        test_accuracy(&text).ok_or_else(|| format!("{} holds no accuracy under \"test\"", path.display()))?;
    println!("test accuracy {accuracy:.4}, at least {LEAST_ACCURACY:.2} wanted");
    // Written so that NaN fails.
    Ok(if accuracy >= LEAST_ACCURACY { 0 } else { 1 })
}

/// The number at `test.accuracy`. A search, no parser: it relies on results.json being well-formed, with no braces in
/// its strings.
fn test_accuracy(json: &str) -> Option<f64> {
    let object = value_of(json, "test", 1)?.strip_prefix('{')?;
    let mut depth = 1;
    let end = object.char_indices().find_map(|(index, character)| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => (),
        }
        (depth == 0).then_some(index)
    })?;
    let number = value_of(&object[..end], "accuracy", 0)?;
    number.split([',', '}', '\n']).next()?.trim().parse().ok()
}

/// What follows `"key":` inside so many braces and brackets: other objects may have the same key.
fn value_of<'a>(json: &'a str, key: &str, depth: usize) -> Option<&'a str> {
    let quoted = format!("\"{key}\"");
    let is_at_depth = |index: usize| {
        let count = |ends: [char; 2]| json[..index].matches(ends).count();
        count(['{', '[']) == depth + count(['}', ']'])
    };
    json.match_indices(&quoted)
        .filter(|&(index, _)| is_at_depth(index))
        .find_map(|(index, _)| Some(json[index + quoted.len()..].trim_start().strip_prefix(':')?.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accuracy_is_that_of_the_test_rows() {
        for (json, expected) in [
            (r#"{"validation": {"accuracy": 0.5}, "test": {"f1_macro": 0.1, "accuracy": 0.9375}}"#, Some(0.9375)),
            ("{\n \"test\": {\n  \"accuracy\": 1.0\n },\n \"validation\": {\"accuracy\": 0}}", Some(1.0)),
            (r#"{"files": ["test"], "test": {"labels": {"a": {"f1": 1}}, "accuracy": 0.25}}"#, Some(0.25)),
            (r#"{"test": {"loss": 1.0}, "validation": {"accuracy": 0.9}}"#, None),
            (r#"{"calibration": {"test": {"before": 1}}, "rows": ["test"], "test": {"accuracy": 0.75}}"#, Some(0.75)),
            (r#"{"test": {"by_class": [{"accuracy": 0.1}], "accuracy": 0.5}}"#, Some(0.5)),
            (r#"{"test": null, "validation": {"accuracy": 0.9}}"#, None),
            (r#"{"test": {"accuracy": null}}"#, None),
            ("", None),
        ] {
            assert_eq!(test_accuracy(json), expected, "{json}");
        }
    }
}
