//! What surrounds the program, as a person meets it: readers that go away, full disks, an instruction set that is not there, numbers and paths that no
//! settings file can hold, a settings file that nobody named, a run that was killed early. None of it is a panic, and each is said.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A tiny pretrained model.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny-single/model")
}

/// A folder with rows of two classes.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let row = |n: usize| format!("the river is {0} and {n},{0}\n", ["good", "bad"][n % 2]);
    let text: String = std::iter::once("text,label\n".to_string()).chain((0..60).map(row)).collect();
    std::fs::write(place.path().join("train.csv"), text).unwrap();
    place
}

/// The program in this folder; MODEL is the tiny model.
fn ferrotune(place: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrotune"));
    let arguments = arguments.split_whitespace();
    command.args(arguments.map(|word| if word == "MODEL" { model().into_os_string() } else { OsString::from(word) }));
    command.current_dir(place);
    command
}

/// Two steps into the folder `out`, with a report.
const TRAIN: &str =
    "train --model MODEL --train train.csv --output out --max-steps 2 --max-length 32 --threads 1 --baselines off";

/// Whether the command ended with this code and said this on standard error, in one line and without a panic.
#[track_caller]
fn check(output: &Output, code: i32, says: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.lines().any(|line| line.contains(says)) && !said.contains("panicked"), "no {says:?} in\n{said}");
}

/// A pipe whose reader is gone.
fn gone() -> PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

#[test]
fn a_reader_that_went_away_ends_no_command() {
    let place = place();
    let info = "info --json MODEL";
    for (arguments, errors_too) in [("devices", false), (info, false), (TRAIN, false), (TRAIN, true)] {
        let mut command = ferrotune(place.path(), arguments);
        command.stdout(gone()).stderr(Stdio::null());
        if errors_too {
            command.stderr(gone());
        }
        let status = command.status().unwrap();
        assert_eq!(status.code(), Some(0), "{arguments}");
        if arguments == TRAIN {
            for name in ["report.html", "results.json", "manifest.json", "best/model.safetensors"] {
                assert!(place.path().join("out").join(name).exists(), "no {name}");
            }
            std::fs::remove_dir_all(place.path().join("out")).unwrap();
        }
    }
    // Without an output that could be written an error is still an error.
    let status = ferrotune(place.path(), "train").stdout(gone()).stderr(gone()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

/// What stands for an open file is written to its end, and not replaced; a reader that went away ends `predict`, though its input goes on.
#[cfg(target_os = "linux")]
#[test]
fn predictions_go_where_the_output_leads() {
    let place = place();
    assert!(ferrotune(place.path(), TRAIN).output().unwrap().status.success());
    let all = place.path().join("all.csv");
    std::fs::write(&all, "earlier\n").unwrap();
    let append = std::fs::OpenOptions::new().append(true).open(&all).unwrap();
    let predict = "predict --model out/best --threads 1 --input";
    let arguments = format!("{predict} train.csv --output /dev/stdout");
    assert!(ferrotune(place.path(), &arguments).stdout(append).status().unwrap().success());
    let text = std::fs::read_to_string(&all).unwrap();
    assert!(text.starts_with("earlier\ntext,label,predicted_label,") && text.lines().count() == 62, "{text}");

    let mut child = ferrotune(place.path(), &format!("{predict} - --output -"))
        .stdin(Stdio::piped())
        .stdout(gone())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Many blocks, until nobody reads them: the program is gone, and the pipe with it.
    let row = "a text,good\n".repeat(1000);
    let mut blocks = (0..10_000).map(|n| input.write_all(if n == 0 { b"text,label\n" } else { row.as_bytes() }));
    assert!(blocks.any(|written| written.is_err()), "it reads on");
    drop(blocks);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_loses_no_file() {
    let place = place();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for arguments in ["devices", "info --json MODEL", TRAIN] {
        let output = ferrotune(place.path(), arguments).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        check(&output, 5, "error: cannot write all to standard output: No space left on device");
    }
    assert!(place.path().join("out/report.html").exists());
    let status = ferrotune(place.path(), "devices").stderr(full()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_instruction_set_that_is_not_there_is_a_usage_error() {
    let place = tempfile::tempdir().unwrap();
    let forced = |name: &str| ferrotune(place.path(), "devices").env("FERROTUNE_ISA", name).output().unwrap();
    let output = forced("foo");
    check(&output, 2, "error: FERROTUNE_ISA=foo: unknown instruction set; this machine runs: ");
    assert!(output.stdout.is_empty());
    for name in ["amx", "avx512", "avx2", "portable"] {
        let output = forced(name);
        if !output.status.success() {
            check(&output, 2, &format!("error: FERROTUNE_ISA={name}: this machine lacks that instruction set"));
        }
    }
}

#[test]
fn what_no_settings_file_can_hold_is_refused_by_its_flag() {
    let place = place();
    let named = |more: &str| format!("train --model MODEL --train train.csv --output out {more}");
    let series = named("--seeds 2 --seed 9223372036854775807");
    let restarting = named("--on-degenerate restart --seed 9223372036854775805");
    for (arguments, says) in [
        ("train --seed 9223372036854775808", "error: --seed is 9223372036854775808; it must be at most 92233"),
        ("train --epochs 18446744073709551615", "error: --epochs is 18446744073709551615; it must be at most"),
        ("search --seed 9223372036854775808", "error: --seed is 9223372036854775808; it must be at most"),
        ("pretrain --seed 9223372036854775808", "error: --seed is 9223372036854775808; it must be at most"),
        (
            series.as_str(),
            "error: --seed is 9223372036854775807; it must be at most 9223372036854775806, so that later seeds",
        ),
        (
            restarting.as_str(),
            "error: --seed is 9223372036854775805; it must be at most 9223372036854775804, so that later seeds",
        ),
    ] {
        check(&ferrotune(place.path(), arguments).output().unwrap(), 2, says);
    }
    #[cfg(unix)]
    for (arguments, flag) in [("train", "train"), ("search", "output"), ("pretrain", "text"), ("pretrain", "output")] {
        let path: OsString = std::os::unix::ffi::OsStringExt::from_vec(b"bad\xff.csv".to_vec());
        let output = ferrotune(place.path(), arguments).arg(format!("--{flag}")).arg(path).output().unwrap();
        check(&output, 2, &format!("error: --{flag} is bad\u{fffd}.csv, which is no text in UTF-8"));
    }
    assert!(!place.path().join("out").exists(), "nothing is trained before");
}

#[test]
fn a_settings_file_that_nobody_named_is_said_once() {
    let place = place();
    std::fs::write(place.path().join("ferrotune.toml"), "lr = 1e-4\n").unwrap();
    for (arguments, times) in [("train", 1), ("search", 1), ("train --config ferrotune.toml", 0), ("pretrain", 0)] {
        let output = ferrotune(place.path(), arguments).output().unwrap();
        check(&output, 2, "is missing");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().filter(|line| *line == "settings   ferrotune.toml").count(), times, "{said}");
    }
}

#[test]
fn a_run_that_was_killed_before_it_saved_anything_begins_again() {
    for flag in ["--resume", "--overwrite"] {
        let place = place();
        std::fs::create_dir_all(place.path().join("out/checkpoints")).unwrap();
        std::fs::write(place.path().join("out/metrics.jsonl"), "").unwrap();
        let said = ferrotune(place.path(), &format!("{TRAIN} {flag}")).output().unwrap();
        check(&said, 0, if flag == "--resume" { "it begins again" } else { "training " });
    }
}

/// The tiny model reads 64 tokens, half of the default.
#[test]
fn a_length_that_nobody_asked_for_follows_the_model() {
    let place = place();
    let train = TRAIN.replace(" --max-length 32", "");
    assert!(train != TRAIN);
    check(&ferrotune(place.path(), &train).output().unwrap(), 0, "training   ");
    let notes = std::fs::read_to_string(place.path().join("out/best/ferrotune.json")).unwrap();
    assert!(notes.contains("\"max_length\":64"), "{notes}");
    for (command, written) in [
        ("pretrain --text train.csv --output adapted", "adapted/ferrotune.toml"),
        ("search --train train.csv --output study --trials 1 --pruning off", "study/best.toml"),
        ("train --config study/best.toml --output again --baselines off", "again/ferrotune.toml"),
    ] {
        let command = format!("{command} --model MODEL --max-steps 2 --threads 1");
        check(&ferrotune(place.path(), &command).output().unwrap(), 0, "model      ");
        let settings = std::fs::read_to_string(place.path().join(written)).unwrap();
        assert!(settings.contains("max-length = 64\n"), "{written}: {settings}");
    }
    let asked = ferrotune(place.path(), &format!("{train} --overwrite --max-length 65")).output().unwrap();
    check(&asked, 2, "--max-length is 65; this model reads at most 64 tokens");
}
