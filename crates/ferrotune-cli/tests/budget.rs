//! `ferrotune train --budget` as a person runs it, on a tiny model: what is given up is what was not said, a run that cannot fit is refused before it
//! begins, and `--resume` goes on with what was chosen.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with so many rows.
fn place(rows: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words = ["river", "boat", "bread", "friend", "rain", "garden", "letter", "paper", "cloud", "market"];
    let mut text = String::from("text,label\n");
    for n in 0..rows {
        let class = ["good", "bad"][n % 2];
        let (one, two) = (words[n % 10], words[(n / 10 + 3 * n) % 10]);
        writeln!(text, "the {one} is {class} and the {two} is very {class} {n},{class}").unwrap();
    }
    std::fs::write(folder.path().join("train.csv"), text).unwrap();
    folder
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny-single/model")
}

fn train(place: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrotune"));
    command.arg("train").arg("--model").arg(model()).current_dir(place);
    let baselines = if arguments.contains("--baselines") { "" } else { "--baselines off" };
    let rows = if arguments.contains("--train ") { "" } else { "--train train.csv" };
    let always = format!("{rows} {baselines} --output run --max-length 32 --report off");
    command.args(always.split_whitespace()).args(arguments.split_whitespace()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn settings(place: &Path) -> toml::Table {
    std::fs::read_to_string(place.join("run/ferrotune.toml")).unwrap().parse().unwrap()
}

fn given_up(place: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(place.join("run/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(results["budget"]["given_up"].clone()).unwrap()
}

/// What lies beside the run: nothing that measuring left.
fn files(place: &Path) -> Vec<String> {
    let names = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_run_that_fits_gives_up_nothing_and_one_that_does_not_is_refused() {
    let place = place(120);
    let place = place.path();
    let output = train(place, "--budget 1h --batch-size 8");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("given up: nothing"), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("of 1h taken"));
    assert_eq!(given_up(place), [""; 0]);
    let settings = settings(place);
    assert_eq!(
        (settings["epochs"].as_integer(), settings.get("budget"), settings.get("freeze")),
        (Some(3), None, None)
    );
    assert_eq!(files(place), ["run", "train.csv"]);

    // Everything that could be given up was said.
    std::fs::remove_dir_all(place.join("run")).unwrap();
    for (arguments, code, says) in [
        (
            "--budget 10s --batch-size 1 --epochs 1000000 --freeze pooler",
            2,
            "--budget 10s is too short: the shortest run",
        ),
        ("--budget soon", 2, "--budget is \"soon\""),
        ("--budget 20m --seeds 2", 2, "--budget is the time of one run, and --seeds makes several"),
        ("--budget 20m --learning-curve", 2, "--budget is the time of one run, and --learning-curve makes several"),
        ("--budget 20m --resume", 2, "--resume: run holds no run"),
    ] {
        let output = train(place, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", said(&output));
        assert!(said(&output).contains(says), "{arguments}: {}", said(&output));
        assert_eq!(files(place), ["train.csv"], "{arguments}");
    }
}

#[test]
fn every_task_and_setting_of_one_run_can_have_a_budget() {
    let place = place(3000);
    let place = place.path();
    let rows: String = (0..60).map(|n| format!("the river is {n},{}\n", n % 7)).collect();
    std::fs::write(place.join("scores.csv"), format!("text,score\n{rows}")).unwrap();
    let long = "--recipe stable --batch-size 1";
    for (arguments, code, says) in [
        ("--budget 1h --train scores.csv".to_string(), 0, "given up: nothing"),
        ("--budget 1h --baselines all --batch-size 8".to_string(), 0, "given up: nothing"),
        ("--budget 1h --metric pearson".to_string(), 2, "--metric pearson is not measured in classification"),
        // The shortest run of all has the head alone, which L2-SP refuses.
        (format!("{long} --budget 10s --l2-sp 0.1 --epochs 1000"), 2, "is too short: the shortest run"),
    ] {
        let output = train(place, &format!("--overwrite {arguments}"));
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", said(&output));
        assert!(said(&output).contains(says), "{arguments}: {}", said(&output));
    }
}

#[test]
fn what_does_not_fit_is_given_up_and_a_resume_goes_on_with_it() {
    // 20 epochs of 5000 steps take minutes where a step takes a millisecond, and still too long where it takes a tenth of one.
    let place = place(5000);
    let place = place.path();
    let arguments = "--budget 15s --recipe stable --batch-size 1 --validation-share 0 --checkpoint-every 200";
    let output = train(place, arguments);
    assert!(output.status.success(), "{}", said(&output));
    let (given_up, settings) = (given_up(place), settings(place));
    assert!(!given_up.is_empty(), "{}", said(&output));
    let cheaper = settings["epochs"].as_integer() < Some(20) || settings.contains_key("freeze");
    assert!(cheaper && settings["batch-size"].as_integer() == Some(1), "{settings}");
    assert!(settings["max-length"].as_integer() == Some(32), "{settings}");
    let output = train(place, &format!("{arguments} --resume"));
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("as it was chosen when the run began"), "{}", said(&output));
    assert_eq!(self::settings(place), settings);
    assert_eq!(self::given_up(place), given_up, "what was chosen is in the results of the resumed run too");
    let output = train(place, "--overwrite --max-steps 5 --checkpoint-every 200");
    assert!(output.status.success(), "{}", said(&output));
    let output = train(place, "--budget 15s --max-steps 5 --checkpoint-every 200 --resume");
    assert!(said(&output).contains("began without --budget"), "{}", said(&output));
}
