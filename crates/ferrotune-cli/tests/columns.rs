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

/// What the labels are for is asked where a column does not say it, and a trained head is not lost without a word.
#[test]
fn labels_that_could_be_something_else_are_said() {
    let place = tempfile::tempdir().unwrap();
    let check = |arguments: &str, code, says: &[&str]| check(place.path(), arguments, code, says);
    let write = |name: &str, label: &dyn Fn(usize) -> String| {
        let rows = (0..60).fold("text,label\n".to_string(), |all, n| format!("{all}the river is {n},{}\n", label(n)));
        std::fs::write(place.path().join(name), rows).unwrap();
    };
    write("prices.csv", &|n| format!("{}.5", n % 9));
    write("ids.csv", &|n| format!("row-{n}"));
    write("three.csv", &|n| ["bad", "good", "fair"][n % 3].to_string());
    write("two.csv", &|n| ["bad", "good"][n % 2].to_string());
    write("sorted.csv", &|_| "bad".to_string());
    let train = "train --max-steps 2 --max-length 32 --threads 1 --baselines off --report off";
    check(
        &format!("{train} --model MODEL --train prices.csv --output a"),
        2,
        &["numbers such as \"0.5\"", "--task regression"],
    );
    check(
        &format!("{train} --model MODEL --train prices.csv --task regression --output a"),
        0,
        &["task       regression"],
    );
    check(&format!("{train} --model MODEL --train ids.csv --output b"), 0, &["54 of 54 labels have one row"]);
    check(
        &format!("{train} --model MODEL --train three.csv --validation sorted.csv --output c"),
        0,
        &["validation: every row has the label bad; if the file is a piece of a sorted one"],
    );
    check(
        &format!("{train} --model c/best --train two.csv --output d"),
        0,
        &["head is replaced by a new one: its labels are bad, fair, good, and no row to learn from has fair"],
    );
    check(
        &format!("{train} --model d/best --train three.csv --output h"),
        0,
        &["kept for the labels that it has; new beside them: fair"],
    );
    // A run that was ended before its first checkpoint.
    std::fs::create_dir_all(place.path().join("e/checkpoints")).unwrap();
    check(&format!("{train} --model MODEL --train two.csv --output e --resume"), 0, &["it begins again"]);
    check(&format!("{train} --model MODEL --train two.csv --output f --resume"), 2, &["holds no run"]);
    // A run that goes on knows its settings.
    check("train --resume --output e", 0, &["settings   e/ferrotune.toml", "resumed"]);
    // What a run came to is never begun again.
    std::fs::remove_dir_all(place.path().join("e/checkpoints")).unwrap();
    std::fs::create_dir_all(place.path().join("e/checkpoints")).unwrap();
    check(&format!("{train} --model MODEL --train two.csv --output e --resume"), 8, &["no checkpoint in"]);
    check("train --resume --output nowhere", 2, &["has no ferrotune.toml of a run", "say the whole command again"]);
    // Nor does one that began there begin with other settings.
    ["results.json", "manifest.json"]
        .iter()
        .for_each(|name| std::fs::remove_file(place.path().join("e").join(name)).unwrap());
    let again = train.replace("--max-steps 2", "--max-steps 3");
    check(
        &format!("{again} --model MODEL --train two.csv --output e --resume"),
        8,
        &["max-steps was \"2\", now \"3\""],
    );
    check("train --resume --output e", 0, &["it begins again"]);
    let pretrain =
        "pretrain --model MODEL --text two.csv --max-steps 2 --max-length 32 --threads 1 --output p --resume";
    std::fs::create_dir_all(place.path().join("p/checkpoints")).unwrap();
    check(pretrain, 0, &["it begins again"]);
    // What a run wrote of held-out rows gives way to a file that is named.
    check("train --config e/ferrotune.toml --validation three.csv --output i", 3, &["unknown label \"fair\""]);
    check("train --config e/ferrotune.toml --validation two.csv --output i", 0, &[]);
    // Numbers in the column of several labels; one label alone among the rows that have a text.
    let numbers =
        std::fs::read_to_string(place.path().join("prices.csv")).unwrap().replace("text,label", "text,labels");
    std::fs::write(place.path().join("numbers.csv"), numbers).unwrap();
    check(
        &format!("{train} --model MODEL --train numbers.csv --output j"),
        2,
        &["column \"labels\"", "--task multi-label"],
    );
    std::fs::write(place.path().join("blank.csv"), "text,label\na,x\nb,x\n,y\n,y\n").unwrap();
    check("audit --train blank.csv --model MODEL", 0, &[]);
    // Of two files one must be named.
    for name in ["train", "validation", "dev"] {
        std::fs::create_dir_all(place.path().join("set")).unwrap();
        std::fs::copy(place.path().join("two.csv"), place.path().join(format!("set/{name}.csv"))).unwrap();
    }
    check(&format!("{train} --model MODEL --train set --output g"), 3, &["several files for validation"]);
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
    check("calibrate --model own/best --data named.csv", 0, &["warning: the model learned from named.csv"]);
    std::fs::write(place.path().join("others.csv"), rows("review,sentiment").replace("river", "lake")).unwrap();
    assert!(!check("calibrate --model own/best --data others.csv", 0, &[]).contains("learned from"));
    let predict = "predict --model own/best --output labelled.csv --overwrite --input";
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
    // A file that holds something is not replaced unasked, the input least of all.
    for name in ["o.txt", "usual.csv"] {
        check(
            &format!("predict --model plain/best --input usual.csv --output {name}"),
            2,
            &["exists already; say --overwrite"],
        );
    }
    assert_eq!(std::fs::read_to_string(place.path().join("usual.csv")).unwrap(), rows("text,label"));
    // No key of a row is lost in a table without a word.
    std::fs::write(place.path().join("keys.jsonl"), "{\"text\":\"a\"}\n{\"text\":\"b\",\"ticket\":7}\n").unwrap();
    check(
        "predict --model plain/best --input keys.jsonl --output keys.csv",
        3,
        &["line 2: the first row has no key `ticket`"],
    );
    assert!(!place.path().join("keys.csv").exists());
    check("predict --model plain/best --input keys.jsonl --output keys-out.jsonl", 0, &[]);
    check("predict --model plain/best --input keys.jsonl --output keys-in.jsonl --with-input", 0, &[]);
    let said = std::fs::read_to_string(place.path().join("keys-in.jsonl")).unwrap();
    assert!(said.lines().nth(1).unwrap().contains(r#""input":{"text":"b","ticket":7}"#), "{said}");
    check("predict --model plain/best --input usual.csv --output in.jsonl --with-input", 0, &[]);
    let first = std::fs::read_to_string(place.path().join("in.jsonl")).unwrap();
    assert!(
        first.lines().next().unwrap().contains(r#""input":{"label":"good","text":"the river is good and 0"}"#),
        "{first}"
    );
    check(
        "predict --model plain/best --input usual.csv --output in.csv --with-input",
        2,
        &["--with-input needs --format jsonl"],
    );
    check("init --preset bert-tiny --tokenizer MODEL --output own", 2, &["own is not empty: say --overwrite"]);
}
