//! What lies in `--output` when a command begins, as a person meets it, on a tiny model: neither a run nor a series nor a search is replaced unasked, and
//! each goes on with its own kind alone.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

/// A command of two steps into the folder `out`.
fn ferrotune(place: &Path, arguments: &str) -> Output {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny-single/model");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrotune"));
    command.args(arguments.split_whitespace()).arg("--model").arg(model).current_dir(place);
    let always =
        "--train train.csv --output out --max-steps 2 --max-length 32 --threads 1 --baselines off --report off";
    command.args(always.split_whitespace()).output().unwrap()
}

/// The results and the names in the folder.
fn state(out: &Path) -> (String, Vec<String>) {
    let names = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    (std::fs::read_to_string(out.join("results.json")).unwrap(), names)
}

#[test]
fn nothing_is_replaced_unasked() {
    let place = tempfile::tempdir().unwrap();
    let mut text = String::from("text,label\n");
    for n in 0..60 {
        let class = ["good", "bad"][n % 2];
        writeln!(text, "the river is {class} and {n},{class}").unwrap();
    }
    std::fs::write(place.path().join("train.csv"), text).unwrap();
    let out = place.path().join("out");
    for (arguments, refused) in [
        ("train", None),
        ("train", Some("out holds an earlier run: say --resume")),
        ("train --seeds 2", Some("out holds an earlier run: say --overwrite to replace it, or name another --output")),
        ("train --learning-curve 50,100", Some("out holds an earlier run: say --overwrite")),
        ("search --trials 1", Some("out holds an earlier run: say --overwrite")),
        // What is to be replaced stays where nothing comes of it.
        ("train --seeds 2 --overwrite --text-column none", Some("no column \"none\"")),
        ("train --overwrite --text-column none", Some("no column \"none\"")),
        ("train --seeds 2 --overwrite", None),
        ("train", Some("out holds an earlier series of --seeds: say --overwrite")),
        ("train --seeds 2", Some("out holds an earlier series of --seeds: say --resume")),
        ("train --learning-curve 50,100", Some("out holds an earlier series of --seeds: say --overwrite")),
        ("train --seeds 2 --resume", None),
        ("train --learning-curve 50,100 --overwrite", None),
        // The runs of the series before could go on, but the results are no longer its own.
        ("train --seeds 2 --resume", Some("out holds an earlier learning curve: say --overwrite")),
        ("search --trials 1", Some("out holds an earlier learning curve: say --overwrite")),
        ("train --learning-curve 50,100 --resume", None),
        ("search --trials 1 --pruning off --overwrite", None),
        ("train", Some("out holds an earlier study: say --overwrite")),
        ("train --seeds 2 --resume", Some("out holds an earlier study: say --overwrite")),
        ("train --overwrite", None),
        ("train --resume", None),
    ] {
        let before = refused.map(|_| state(&out));
        let output = ferrotune(place.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        match refused {
            None => assert!(output.status.success(), "{arguments}: {said}"),
            Some(says) => {
                assert!(matches!(output.status.code(), Some(2 | 3)), "{arguments}: {said}");
                assert!(said.contains(says), "{arguments}: {said}");
                assert_eq!(Some(state(&out)), before, "{arguments}");
            }
        }
    }
}
