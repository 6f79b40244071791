//! The command on files as people have them: what the parts hold, and every mistake.

use super::run;
use crate::args::{SplitArgs, Switch, TextColumns};
use crate::exit::{DATA, IO, USAGE};
use ferrotune_data::{Need, Row, normalised, read_table};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn args(folder: &Path, data: &str) -> SplitArgs {
    SplitArgs {
        data: folder.join(data),
        output: folder.join("out"),
        validation: None,
        test: None,
        folds: None,
        stratify: None,
        group_by: None,
        deduplicate: Switch::Off,
        seed: 0,
        overwrite: false,
        columns: TextColumns::default(),
        label_column: None,
    }
}

/// A CSV as spreadsheets write it: byte order mark, CRLF, quotes, commas and line ends in fields, columns that no model reads. Of 100 rows
/// 60 are "pos", 30 "neg" and 10 "odd"; 4 are exact copies of others, and two have the text of another with blanks and case changed.
fn spreadsheet() -> String {
    let mut file = String::from("\u{feff}id, text ,label,user,note\r\n");
    for row in 0..100 {
        let label = ["pos", "pos", "neg", "pos", "neg", "pos", "pos", "odd", "pos", "neg"][row % 10];
        let text = match row {
            90..94 => format!("\"Row {}, \"\"said\"\"\r\n\r\nand ended\"", row - 90),
            96 | 98 => format!("\"row {},  \"\"SAID\"\" and ended\"", row - 90),
            _ => format!("\"Row {row}, \"\"said\"\"\r\n\r\nand ended\""),
        };
        file += &format!("{row:03},{text}, {label} ,u{},\"\"\r\n", row / 7);
    }
    file
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    folder
}

fn rows(path: PathBuf, need: Need) -> Vec<Row> {
    read_table(&path, need).unwrap_or_else(|error| panic!("{error}")).rows
}

fn classes(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(row.label.as_deref().unwrap()).or_insert(0) += 1);
    counts
}

/// The same rows wherever they stand.
fn sorted(rows: impl IntoIterator<Item = Row>) -> Vec<(String, Option<String>)> {
    let mut rows: Vec<_> = rows.into_iter().map(|row| (row.text, row.label)).collect();
    rows.sort();
    rows
}

fn run_in(folder: &Path, data: &str, change: impl Fn(&mut SplitArgs)) -> Result<(), crate::exit::Failure> {
    let mut args = args(folder, data);
    change(&mut args);
    run(&args)
}

#[test]
fn a_spreadsheet_in_three_parts() {
    let folder = folder(&[("all.csv", &spreadsheet())]);
    run_in(folder.path(), "all.csv", |_| ()).unwrap();
    let parts =
        ["train", "validation", "test"].map(|name| rows(folder.path().join(format!("out/{name}.csv")), Need::Labels));
    assert_eq!(sorted(parts.iter().flatten().cloned()), sorted(rows(folder.path().join("all.csv"), Need::Labels)));
    let of = |pos, neg, odd| BTreeMap::from([("pos", pos), ("neg", neg), ("odd", odd)]);
    assert_eq!(parts.each_ref().map(|rows| classes(rows)), [of(48, 24, 8), of(6, 3, 1), of(6, 3, 1)]);
    // No text is in two parts.
    let mut seen = HashMap::new();
    for (part, rows) in parts.iter().enumerate() {
        assert!(rows.iter().all(|row| *seen.entry(normalised(row).unwrap()).or_insert(part) == part));
    }
    // The bytes of every row, in the order of the input, under the whole header.
    let all = spreadsheet();
    let (head, body) = all.split_once("\r\n").unwrap();
    let mut places = HashSet::new();
    for name in ["train", "validation", "test"] {
        let part = std::fs::read_to_string(folder.path().join(format!("out/{name}.csv"))).unwrap();
        let (part_head, part_body) = part.split_once("\r\n").unwrap();
        assert_eq!(part_head, head);
        let records: Vec<&str> = part_body.split_inclusive(",\"\"\r\n").collect();
        let found: Vec<usize> = records.iter().map(|record| body.find(record).unwrap()).collect();
        assert!(found.is_sorted() && found.iter().all(|&place| places.insert(place)));
    }
    assert_eq!(places.len(), 100);
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 3, "nothing is left aside");
}

#[test]
fn seeds_shares_and_duplicates() {
    let folder = folder(&[("all.csv", &spreadsheet())]);
    let of = |change: &dyn Fn(&mut SplitArgs)| {
        run_in(folder.path(), "all.csv", |args| {
            args.overwrite = true;
            change(args);
        })
        .unwrap();
        let read = |name| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap_or_default();
        ["train.csv", "validation.csv", "test.csv"].map(read)
    };
    let first = of(&|_| ());
    assert_eq!(of(&|_| ()), first);
    assert_ne!(of(&|args| args.seed = 1), first);
    assert_ne!(of(&|args| args.stratify = Some(Switch::Off)), first);
    // Exact copies go, the first stays; what differs by case stays and stays together.
    let count = |parts: &[String; 3]| parts.iter().map(|part| part.matches(",\"\"\r\n").count()).collect::<Vec<_>>();
    let fewer = of(&|args| args.deduplicate = Switch::On);
    assert_eq!(count(&fewer), [77, 10, 9]);
    let fewer = fewer.concat();
    // Rows 90 to 93 are copies of rows 0 to 3, with their labels.
    for (id, there) in [("000", true), ("090", false), ("093", false), ("096", true), ("006", true)] {
        assert_eq!(fewer.contains(&format!("\n{id},")), there, "{id}");
    }
}

#[test]
fn groups_and_folds() {
    let folder = folder(&[("all.csv", &spreadsheet())]);
    run_in(folder.path(), "all.csv", |args| {
        args.folds = Some(4);
        args.group_by = Some("user".to_string());
        args.deduplicate = Switch::On;
    })
    .unwrap();
    let read = |fold: usize, name: &str| {
        let text = std::fs::read_to_string(folder.path().join(format!("out/fold-{fold}/{name}.csv"))).unwrap();
        let (_, body) = text.split_once("\r\n").unwrap();
        body.split_inclusive(",\"\"\r\n").map(|record| record[..3].parse().unwrap()).collect::<Vec<usize>>()
    };
    let mut all = Vec::new();
    for fold in 0..4 {
        let (train, validation) = (read(fold, "train"), read(fold, "validation"));
        let users = |ids: &[usize]| ids.iter().map(|id| id / 7).collect::<HashSet<_>>();
        assert!(users(&train).is_disjoint(&users(&validation)), "fold {fold}");
        assert_eq!(train.len() + validation.len(), 96);
        assert!(validation.len().abs_diff(24) <= 7, "{}", validation.len());
        all.extend(validation);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 96, "each row is validation once");
}

#[test]
fn json_lines_and_words() {
    let line = |n: usize| {
        format!("{{\"tokens\": [\"w{n}\", \"x\"],  \"tags\": [\"O\", \"B-a\"], \"n\": {n}.10, \"more{n}\": null}}\n")
    };
    let all: Vec<String> = (0..30).map(line).collect();
    let folder = folder(&[("all.jsonl", &all.concat())]);
    run_in(folder.path(), "all.jsonl", |_| ()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let parts = ["train.jsonl", "validation.jsonl", "test.jsonl"].map(read);
    assert_eq!(parts.each_ref().map(|part| part.lines().count()), [24, 3, 3]);
    let written: HashSet<String> =
        parts.iter().flat_map(|part| part.split_inclusive('\n')).map(str::to_string).collect();
    assert_eq!(written, all.into_iter().collect());
}

#[test]
fn mistakes_are_named() {
    let small = "text,label\na,x\nb,y\nc,x\n";
    let same = format!("text,label,user\n{}", "a,x,u\n".repeat(30));
    let scores = "text,score\na,1\nb,2\nc,3\n";
    let many: String = (0..30).map(|n| format!("t{n},{}\n", n % 2)).collect();
    let many = format!("text,label\n{many}");
    let files =
        [("small.csv", small), ("same.csv", &same), ("scores.csv", scores), ("many.csv", &many), ("all.txt", "a")];
    #[track_caller]
    fn check(files: &[(&str, &str)], data: &str, change: impl Fn(&mut SplitArgs), code: u8, says: &str) {
        let folder = folder(files);
        std::fs::create_dir(folder.path().join("used")).unwrap();
        std::fs::write(folder.path().join("used/test.csv"), "mine").unwrap();
        let failure = run_in(folder.path(), data, |args| {
            change(args);
            if args.output.starts_with("/in") {
                args.output = folder.path().join(args.output.strip_prefix("/in").unwrap());
            }
        })
        .unwrap_err();
        assert!(failure.message.contains(says) && failure.code == code, "{} {}", failure.code, failure.message);
        assert_eq!(std::fs::read_to_string(folder.path().join("used/test.csv")).unwrap(), "mine");
        assert!(!folder.path().join("out").exists(), "a refusal writes nothing");
    }
    let check = |data: &str, change: &dyn Fn(&mut SplitArgs), code, says: &str| check(&files, data, change, code, says);
    check("many.csv", &|args| args.validation = Some(1.0), USAGE, "--validation is 1; it must be a share");
    check("many.csv", &|args| args.test = Some(-0.1), USAGE, "--test is -0.1");
    check("many.csv", &|args| args.test = Some(f64::NAN), USAGE, "--test is NaN");
    check("many.csv", &|args| (args.validation, args.test) = (Some(0.5), Some(0.5)), USAGE, "leave no rows to learn");
    check("many.csv", &|args| (args.validation, args.test) = (Some(0.0), Some(0.0)), USAGE, "nothing to split");
    check("many.csv", &|args| args.folds = Some(1), USAGE, "--folds is 1; it must be between 2 and 100");
    check("scores.csv", &|args| args.stratify = Some(Switch::On), USAGE, "--stratify on needs one name a row");
    check("many.csv", &|args| args.output = "/in/used".into(), USAGE, "used/test.csv exists already; say --overwrite");
    let without_test = |args: &mut SplitArgs| {
        (args.output, args.test, args.overwrite) = ("/in/used".into(), Some(0.0), true);
    };
    check("many.csv", &without_test, USAGE, "used/test.csv is not a part of this split");
    check(
        "used/test.csv",
        &|args| (args.output, args.overwrite) = ("/in/used".into(), true),
        USAGE,
        "is the data that",
    );
    check("many.csv", &|args| args.output = "/in/small.csv".into(), USAGE, "small.csv is not a folder");
    check("small.csv", &|_| (), DATA, "small.csv: validation gets no row of 3: rows or groups are too few");
    check("same.csv", &|_| (), DATA, "same.csv, line 2: 30 rows belong together");
    check("many.csv", &|args| args.group_by = Some("user".into()), DATA, "no column \"user\"");
    check("many.csv", &|args| args.label_column = Some("lable".into()), DATA, "did you mean \"label\"?");
    check("all.txt", &|_| (), DATA, "all.txt has no extension of a format that is read");
    check("absent.csv", &|_| (), IO, "cannot read");
}
