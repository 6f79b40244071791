//! Columns with other names than usual, from training to prediction, on a tiny model; and files that are written under names that say something else.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

/// Rows of two classes with this header.
fn rows(header: &str) -> String {
    let row = |n: usize| format!("the river is {0} and {n},{0}\n", ["good", "bad"][n % 2]);
    std::iter::once(format!("{header}\n")).chain((0..60).map(row)).collect()
}

/// Runs the command in this folder, where MODEL is a tiny pretrained one; it ends with this code and says these.
#[track_caller]
fn check(place: &Path, arguments: &str, code: i32, says: &[&str]) -> String {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tiny-single/model");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrotune"));
    command.args(arguments.split_whitespace().map(|word| if word == "MODEL" { model } else { word }));
    let output = command.current_dir(place).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
    says.iter().for_each(|says| assert!(said.contains(says), "{arguments}: no {says:?} in {said}"));
    said.into_owned()
}

#[test]
fn names_of_training_are_known_afterwards() {
    let place = tempfile::tempdir().unwrap();
    let check = |arguments: &str, code, says: &[&str]| check(place.path(), arguments, code, says);
    for (name, header) in
        [("named.csv", "review,sentiment"), ("usual.csv", "text,label"), ("half.csv", "text,sentiment")]
    {
        std::fs::write(place.path().join(name), rows(header)).unwrap();
    }
    let train = "train --model MODEL --max-steps 2 --max-length 32 --threads 1 --baselines off --report off";
    check(&format!("{train} --train named.csv --text-column review --label-column sentiment --output own"), 0, &[]);
    check(&format!("{train} --train usual.csv --output plain"), 0, &[]);

    let known = "columns    review, sentiment, as in training";
    for command in ["evaluate --model own/best --data", "calibrate --model own/best --data"] {
        check(&format!("{command} named.csv"), 0, &[known]);
        check(&format!("{command} usual.csv"), 3, &[known, "no column \"review\""]);
        check(&format!("{command} usual.csv --text-column text --label-column label"), 0, &[]);
        check(&format!("{command} half.csv --text-column text"), 0, &["columns    sentiment, as in training"]);
    }
    let predict = "predict --model own/best --output labelled.csv --input";
    check(&format!("{predict} named.csv"), 0, &["columns    review, as in training"]);
    check(&format!("{predict} usual.csv"), 3, &["no column \"review\""]);
    check(&format!("{predict} usual.csv --text-column text"), 0, &[]);
    // Where nothing was named nothing is.
    check("evaluate --model plain/best --data usual.csv", 0, &[]);
    check("evaluate --model plain/best --data named.csv", 3, &["no column \"text\""]);

    // What the number of a regression is called is no reason to begin anew.
    let scores =
        |header: &str| (0..60).fold(format!("{header}\n"), |all, n| format!("{all}the river is {n},{}\n", n % 5));
    for (name, header) in [("rated.csv", "text,rating"), ("scored.csv", "text,score")] {
        std::fs::write(place.path().join(name), scores(header)).unwrap();
    }
    let new_head = "Newly initialised: classifier.weight";
    let train = |from: &str| train.replace("MODEL", from);
    check(
        &format!("{} --task regression --train rated.csv --label-column rating --output first", train("MODEL")),
        0,
        &[new_head],
    );
    let again = format!("{} --train scored.csv --output second", train("first/best"));
    assert!(!check(&again, 0, &["weights    Loaded"]).contains("replaced by a new one"));
    let classes = format!("{} --train usual.csv --output third", train("first/best"));
    check(&classes, 0, &["weights    Loaded"]);

    for (name, code) in [("o.tsv", 2), ("o.csv.gz", 2), ("o.json", 2), ("o.jsonl", 0), ("o.txt", 0)] {
        let says: &[&str] = if code == 2 { &["predict writes .csv or .jsonl"] } else { &[] };
        check(&format!("predict --model plain/best --input usual.csv --output {name}"), code, says);
        assert_eq!(place.path().join(name).exists(), code == 0, "{name}");
    }
    check("predict --model plain/best --input usual.csv --output o.json --format jsonl", 0, &[]);
    check("init --preset bert-tiny --tokenizer MODEL --output own", 2, &["own is not empty: say --overwrite"]);
}
