//! What differs, what is warned of, and the spread of series. It must not know how a comparison is shown.

use super::*;
use crate::results::evaluation;
use crate::run::files::example::{Kind, write};
use std::path::Path;

/// Two runs of these kinds and settings, and what `change` did to the evaluation of the second.
fn compared(kinds: [Kind; 2], settings: [&str; 2], change: impl Fn(&Path)) -> Comparison {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["first", "second"].map(|name| folder.path().join(name));
    for ((path, kind), settings) in paths.iter().zip(kinds).zip(settings) {
        write(path, kind, settings);
    }
    change(&paths[1].join(evaluation::FILE));
    Comparison::read(&paths).map_err(|failure| failure.message).unwrap()
}

const CLASSES: [Kind; 2] = [Kind::Classes(3); 2];

#[test]
fn only_what_differs_is_listed() {
    let found = compared(
        CLASSES,
        ["lr = 1e-4\nepochs = 2\noutput = 'a'", "lr = 2e-4\nepochs = 2\noutput = 'b'\nema = 0.9"],
        |_| {},
    );
    let values = |name: &str, values: [&str; 2]| (name.to_string(), values.map(String::from).to_vec());
    assert_eq!(found.differences, [values("ema", ["–", "0.9"]), values("lr", ["0.0001", "0.0002"])]);
    assert_eq!(found.warnings, [""; 0]);
    assert_eq!(found.metrics[0], MetricName::Accuracy);
    assert_eq!(found.entries[1].figure(MetricName::Accuracy), Some(Figure { value: 0.75, deviation: None }));
    assert!(found.entries[0].interval(MetricName::Accuracy).is_some());
}

#[test]
fn other_rows_are_warned_of() {
    let replace = |from: &'static str, to: &'static str| {
        move |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(path, text.replace(from, to)).unwrap();
        }
    };
    let warnings = |change: &dyn Fn(&Path)| compared(CLASSES, [""; 2], change).warnings;
    let [test] = &warnings(&replace("sum of test", "x"))[..] else { panic!("expected one warning") };
    assert_eq!(test, "first and second were measured on different test rows: their results cannot be compared");
    let [train] = &warnings(&replace("sum of train", "x"))[..] else { panic!("expected one warning") };
    assert!(train.starts_with("first and second learned from different training files"), "{train}");
    let [unknown] = &warnings(&|path| std::fs::remove_file(path).unwrap())[..] else { panic!("expected one warning") };
    assert!(unknown.starts_with("there is no evaluation.json of second, so that"), "{unknown}");
    let [part] = &warnings(&|path| {
        let results = path.with_file_name("results.json");
        let text = std::fs::read_to_string(&results).unwrap();
        std::fs::write(results, text.replace("\"test\":", "\"left\":")).unwrap();
    })[..] else {
        panic!("expected one warning")
    };
    assert!(part.contains("first on test, second on validation"), "{part}");
}

/// Without a file of its own, rows that were held out are known by share and seed.
#[test]
fn rows_held_out_otherwise_are_other_rows() {
    let change = |share: &'static str| {
        move |path: &Path| {
            for folder in [path.parent().unwrap().to_path_buf(), path.parent().unwrap().with_file_name("first")] {
                let results = folder.join("results.json");
                let text = std::fs::read_to_string(&results).unwrap();
                std::fs::write(results, text.replace("\"test\":", "\"left\":")).unwrap();
            }
            let settings = path.with_file_name("ferrotune.toml");
            let text = std::fs::read_to_string(&settings).unwrap();
            std::fs::write(settings, format!("{text}\nvalidation-share = {share}\n")).unwrap();
        }
    };
    let warnings = |second| compared(CLASSES, ["validation-share = 0.1", ""], change(second)).warnings;
    assert_eq!(warnings("0.1"), [""; 0]);
    assert_eq!(
        warnings("0.2"),
        ["first and second were measured on different validation rows: their results cannot be compared"]
    );
}

#[test]
fn tasks_share_no_metric_and_series_have_a_spread() {
    let found = compared([Kind::Classes(3), Kind::Numbers], [""; 2], |_| {});
    assert_eq!(found.entries[1].figure(MetricName::Accuracy), None);
    assert!(found.entries[1].figure(MetricName::Pearson).is_some() && found.metrics.contains(&MetricName::Pearson));

    let folder = tempfile::tempdir().unwrap();
    let paths = ["series", "one"].map(|name| folder.path().join(name));
    for seed in 0..2 {
        write(&paths[0].join(format!("seed-{seed}")), Kind::Classes(3 + seed), &format!("seed = {seed}"));
    }
    std::fs::write(paths[0].join("results.json"), "{\"seeds\": 2}").unwrap();
    write(&paths[1], Kind::Classes(3), "seed = 0");
    let found = Comparison::read(&paths).map_err(|failure| failure.message).unwrap();
    let figure = found.entries[0].figure(MetricName::Accuracy).unwrap();
    assert_eq!((figure.value, figure.deviation), (0.75, Some(0.0)));
    assert_eq!(found.entries[0].interval(MetricName::Accuracy), None, "an interval is of one run");
    assert_eq!(found.differences, [("seed".to_string(), vec!["0, 1".to_string(), "0".to_string()])]);

    // A series is named once, however many of its runs lack the file.
    for run in [paths[0].join("seed-0"), paths[0].join("seed-1"), paths[1].clone()] {
        std::fs::remove_file(run.join(evaluation::FILE)).unwrap();
    }
    let [unknown] = &Comparison::read(&paths).map_err(|failure| failure.message).unwrap().warnings[..] else {
        panic!("expected one warning")
    };
    assert!(unknown.starts_with("there is no evaluation.json of series, one, so that"), "{unknown}");
}

#[test]
fn the_deviation_is_that_of_a_sample() {
    assert_eq!(Figure::of(&[0.25]), Figure { value: 0.25, deviation: None });
    // Squares 4 + 0 + 4 over two.
    assert_eq!(Figure::of(&[1.0, 3.0, 5.0]), Figure { value: 3.0, deviation: Some(2.0) });
}

#[test]
fn one_run_cannot_be_compared() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Kind::Words, "");
    let failure = Comparison::read(&[folder.path().to_path_buf()]).err().unwrap();
    assert!(failure.message.contains("at least two"), "{}", failure.message);
}
