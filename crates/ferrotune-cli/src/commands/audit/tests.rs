//! The command on files as people have them: what it says, what its copies hold, and every mistake.

use super::report;
use crate::args::{AuditArgs, Switch, TextColumns};
use crate::exit::{DATA, IO, USAGE};
use ferrotune_data::{Need, read_table};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

const TRAIN: &str = "\u{feff}id,text,label\r\n1,\"Where is it, \"\"now\"\"?\",late\r\n2,  ,late\r\n3,where is my parcel,late\r\n\
    4,Where is MY parcel,late\r\n5,send it back,return\r\n6,please send it back to me,return\r\n7,no label here,\r\n\
    8,take this away,return\r\n9,Take this away!,return\r\n10,it came broken,late\r\n11,what does it cost,price\r\n";
const TEST: &str = "id,text,label\n1,please send it back for me,return\n2,Send it back.,return\n3,it came broken,damage\n4,zzz qqq,Late\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
    folder
}

fn args(folder: &Path) -> AuditArgs {
    AuditArgs {
        train: folder.join("train.csv"),
        validation: None,
        test: Some(folder.join("test.csv")),
        model: None,
        max_length: None,
        fix: None,
        fix_near: Switch::Off,
        overwrite: false,
        json: None,
        show: 5,
        task: None,
        columns: TextColumns::default(),
        label_column: None,
        label_separator: None,
        threads: None,
    }
}

fn said(args: &AuditArgs) -> Result<String, (u8, String)> {
    let mut lines = Vec::new();
    report(args, &mut |line| lines.push(line)).map_err(|failure| (failure.code, failure.message))?;
    Ok(lines.join("\n"))
}

#[test]
fn findings_are_said_with_lines_and_texts() {
    let folder = folder(&[("train.csv", TRAIN), ("test.csv", TEST)]);
    let said = said(&args(folder.path())).unwrap();
    for part in [
        "train      11 rows; 3 labels with 1 to 5 each; words ",
        "2 rows of test also stand in train (1 exactly, 1 but for punctuation)",
        "test line 4 is train line 11, exact, another label: \"it came broken\"",
        "test line 3 is train line 6, punctuation: \"Send it back.\"\n        there: \"send it back\"",
        "1 text has rows with different labels",
        "test line 4 is train line 11, says damage: \"it came broken\"",
        "two labels look like one: \"late\" (5 rows) and \"Late\" (1 row), the same letters",
        "train: 1 row has no label",
        "test: 2 labels that no training row has: Late, damage",
        "test: no row has the label late, price",
        "train: 1 row has no text",
        "train: 2 rows repeat an earlier row (1 exactly, 1 but for punctuation)",
        "note: 1 row of test is near to one of train (1 but for one word)",
        "name an encoder with --model",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn copies_keep_their_bytes_and_the_log_says_why() {
    let folder = folder(&[("train.csv", TRAIN), ("test.csv", TEST)]);
    let out = folder.path().join("clean");
    let fixing = AuditArgs { fix: Some(out.clone()), ..args(folder.path()) };
    let lines = said(&fixing).unwrap();
    assert!(lines.contains("train.csv: 5 rows, taken out: 2 repeating an earlier row, 2 standing in test, 1 without label, 1 without text"), "{lines}");
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let kept: String = TRAIN
        .split_inclusive("\r\n")
        .enumerate()
        .filter(|(n, _)| [0, 1, 3, 6, 8, 11].contains(n))
        .map(|(_, line)| line)
        .collect();
    assert_eq!(read("train.csv"), kept);
    assert_eq!(read("test.csv"), TEST);
    assert_eq!(
        read("taken-out.csv"),
        "split,row,line,reason,of_split,of_line\ntrain,1,3,without text,,\ntrain,3,5,repeating an earlier row,train,4\n\
         train,4,6,standing in test,test,3\ntrain,6,8,without label,,\ntrain,8,10,repeating an earlier row,train,9\n\
         train,9,11,standing in test,test,4\n"
    );
    assert_eq!(fs::read_to_string(folder.path().join("train.csv")).unwrap(), TRAIN);

    let again = said(&fixing).unwrap_err();
    assert!(again.0 == USAGE && again.1.contains("train.csv exists already"), "{again:?}");
    said(&AuditArgs { overwrite: true, fix_near: Switch::On, ..fixing }).unwrap();
    assert!(read("taken-out.csv").contains("train,5,7,near to a row of test,test,2\n"));
}

#[test]
fn copies_of_compressed_files_are_text_under_a_name_that_says_so() {
    let folder = folder(&[("test.csv", TEST)]);
    let path = folder.path().join("train.csv.gz");
    let mut file = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    file.write_all(TRAIN.as_bytes()).unwrap();
    file.finish().unwrap();
    let out = folder.path().join("clean");
    let lines = said(&AuditArgs { train: path, fix: Some(out.clone()), ..args(folder.path()) }).unwrap();
    assert!(lines.contains("train.csv: 5 rows"), "{lines}");
    assert_eq!(read_table(&out.join("train.csv"), Need::Labels).unwrap().rows.len(), 5);
}

/// Of a folder the parts that training would read, and one cleaned copy of each.
#[test]
fn folders_are_read_by_part() {
    let folder = folder(&[("train.csv", TRAIN), ("dev.csv", TEST)]);
    let out = folder.path().join("clean");
    let train = folder.path().to_owned();
    let lines = said(&AuditArgs { train, test: None, fix: Some(out.clone()), ..args(folder.path()) }).unwrap();
    assert!(
        lines.contains("validation 4 rows") && lines.contains("2 rows of validation also stand in train"),
        "{lines}"
    );
    assert_eq!(fs::read_to_string(out.join("validation.csv")).unwrap(), TEST);
    assert_eq!(read_table(&out.join("train.csv"), Need::Labels).unwrap().rows.len(), 5);
    let only =
        AuditArgs { train: folder.path().to_owned(), test: Some(folder.path().to_owned()), ..args(folder.path()) };
    let (code, message) = said(&only).unwrap_err();
    assert!(code == DATA && message.contains("no file for test in"), "{message}");
}

#[test]
fn json_has_all_rows() {
    let folder = folder(&[("train.csv", TRAIN), ("test.csv", TEST)]);
    let path = folder.path().join("found.json");
    said(&AuditArgs { json: Some(path.clone()), show: 0, ..args(folder.path()) }).unwrap();
    let value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(value["splits"][0]["labels"]["late"], 5);
    let leaked = &value["findings"][0];
    assert_eq!((&leaked["check"], &leaked["severity"]), (&"leaked-rows".into(), &"warning".into()));
    assert_eq!(leaked["rows"][1]["of"]["line"], 6);
    assert_eq!(leaked["rows"][1]["text"], "Send it back.");
    assert_eq!(value["labels"], Value::Null);
}

/// With an encoder: tokens are counted and cut, and labels that do not fit their rows come first. The encoder is tiny and random, so the label hangs
/// on a single word.
#[test]
fn wrong_labels_are_ranked_first() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny-single/model");
    let vocabulary = fs::read_to_string(model.join("vocab.txt")).unwrap();
    let is_word = |word: &&str| word.len() > 2 && *word != "rain" && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&str> = vocabulary.lines().filter(is_word).collect();
    let mut train = String::from("text,label\n");
    let wrong: Vec<usize> = (0..400).filter(|n| n % 40 == 13).collect();
    for n in 0..400 {
        let word = |k: usize| words[(n * 31 + k * 17) % words.len()];
        let wet = n % 3 == 0;
        let text = [word(1), if wet { "rain rain rain" } else { word(2) }, word(3)].join(" ");
        train += &format!("{text},{}\n", if wet != wrong.contains(&n) { "wet" } else { "dry" });
    }
    let folder = folder(&[("train.csv", &train)]);
    let json = folder.path().join("found.json");
    let asked = AuditArgs {
        test: None,
        model: Some(model.display().to_string()),
        max_length: Some(5),
        json: Some(json.clone()),
        ..args(folder.path())
    };
    let said = said(&asked).unwrap();
    assert!(said.contains(" cut to 5 tokens (") && said.contains("have a label that is likely wrong"), "{said}");
    let value: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let ranked = value["labels"]["ranked"].as_array().unwrap();
    let first: Vec<usize> = ranked.iter().take(40).map(|row| row["row"].as_u64().unwrap() as usize).collect();
    let found = wrong.iter().filter(|row| first.contains(row)).count();
    assert!(ranked.len() == 400 && found >= 7, "{found} of {wrong:?} in {first:?}");
    assert!(value["labels"]["agreement"].as_f64().unwrap() > 0.8);
}

/// Rows with nothing wrong give nothing but their counts.
#[test]
fn clean_rows_are_quiet() {
    let train = "text,label\nwhere is my parcel,late\nhow much is the fish,price\n";
    let folder = folder(&[
        ("train.csv", train),
        ("test.csv", "text,label\ncan you tell me the price,price\nit is not here yet,late\n"),
    ]);
    let said = said(&args(folder.path())).unwrap();
    assert!(said.contains("nothing is wrong with these rows") && !said.contains(" 1. "), "{said}");
}

#[test]
fn mistakes_are_named() {
    let folder = folder(&[
        ("train.csv", TRAIN),
        ("test.csv", TEST),
        ("one.csv", "text,label\n ,x\n"),
        ("bare.csv", "text\na\n"),
        ("half.csv", "text,text_b,label\na,b,c\n"),
    ]);
    let at = |name: &str| folder.path().join(name);
    let base = || args(folder.path());
    for (args, code, part) in [
        (AuditArgs { train: at("none.csv"), ..base() }, IO, "none.csv"),
        (AuditArgs { train: at("bare.csv"), ..base() }, DATA, "no column \"label\""),
        (AuditArgs { train: at("half.csv"), ..base() }, DATA, "--text-b-column text_b"),
        (AuditArgs { label_column: Some("lable".into()), ..base() }, DATA, "did you mean \"label\""),
        (AuditArgs { fix: Some(folder.path().to_owned()), ..base() }, USAGE, "is one of the files to be cleaned"),
        (AuditArgs { fix: Some(at("one.csv")), ..base() }, USAGE, "is not a folder"),
        (
            AuditArgs { json: Some(at("train.csv")), overwrite: true, ..base() },
            USAGE,
            "is one of the files that are looked at",
        ),
        (AuditArgs { json: Some(at("one.csv")), ..base() }, USAGE, "exists already"),
        (AuditArgs { label_separator: Some(';'), ..base() }, USAGE, "--task multi-label"),
        (AuditArgs { train: at("one.csv"), fix: Some(at("out")), ..base() }, DATA, "would leave no row"),
    ] {
        let (got, message) = said(&args).unwrap_err();
        assert!(got == code && message.contains(part), "{got}: {message}");
    }
    assert!(!at("out").join("train.csv").exists());
}
