//! Run folders that are whole, and every way in which they are not.

use super::example::{Kind, write};
use super::*;
use crate::exit::USAGE;
use serde_json::json;

#[track_caller]
fn fails(break_it: impl Fn(&Path), code: u8, says: &str) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Kind::Classes(3), "");
    break_it(folder.path());
    let failure = RunFiles::read(folder.path()).err().expect("the folder is broken");
    assert!(failure.message.contains(says) && failure.code == code, "{} {}", failure.code, failure.message);
    assert!(!failure.message.contains('\n'), "{}", failure.message);
}

#[test]
fn what_is_wrong_with_a_folder_is_named() {
    let put =
        |name: &'static str, text: &'static str| move |folder: &Path| std::fs::write(folder.join(name), text).unwrap();
    let remove = |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    fails(remove(RESULTS), USAGE, "holds no finished run: there is no results.json");
    fails(put(RESULTS, "{\"best_epoch\": "), MODEL, "results.json is damaged: EOF");
    fails(put(RESULTS, "{}"), MODEL, "results.json is damaged: missing field `best_epoch`");
    fails(put(LOG, "{\"event\": \"step\"}\n"), MODEL, "metrics.jsonl is damaged: missing field `step`");
    fails(put(LOG, "x\n"), MODEL, "metrics.jsonl is damaged: expected value");
    fails(put(SETTINGS, "x"), MODEL, "ferrotune.toml is damaged");
    fails(put(crate::results::evaluation::FILE, "{}"), MODEL, "evaluation.json is damaged: missing field");
    let nowhere = RunFiles::read(Path::new("/nonexistent/run")).err().unwrap();
    assert!(nowhere.message.contains("is no folder") && nowhere.code == USAGE);
}

#[test]
fn a_run_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("first");
    write(&path, Kind::Classes(3), "epochs = 2");
    let run = RunFiles::read(&path).map_err(|failure| failure.message).unwrap();
    assert_eq!((run.name(), run.steps.len(), run.evaluations.len()), ("first".to_string(), 20, 2));
    assert_eq!(run.evaluations[1].value(MetricName::Accuracy), Some(0.5));
    assert_eq!((run.metric(), run.measured().unwrap().0), (Some(MetricName::Accuracy), "test"));
    let Interval { low, high } = run.interval(MetricName::Accuracy).unwrap();
    assert!(low < 0.75 && 0.75 < high && run.interval(MetricName::Loss).is_none());
    // The interval is of the test rows.
    let without = RunFiles { results: Results { test: None, ..run.results }, ..run };
    assert_eq!(without.interval(MetricName::Accuracy), None);
    // Without the file the rest is there.
    std::fs::remove_file(path.join(crate::results::evaluation::FILE)).unwrap();
    assert!(RunFiles::read(&path).map_err(|failure| failure.message).unwrap().evaluation.is_none());
}

/// What is said of a folder with these results and the results of what lies in it, in which `@` stands for the folder.
#[track_caller]
fn check_several(results: &Value, inside: &[(&str, &Value)], says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let put = |folder: &Path, results: &Value| {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(RESULTS), results.to_string()).unwrap();
    };
    put(folder.path(), results);
    inside.iter().for_each(|(name, results)| put(&folder.path().join(name), results));
    let failure = RunFiles::read(folder.path()).err().expect("these are several runs");
    assert_eq!(failure.message.replace(&folder.path().display().to_string(), "@"), says);
    assert_eq!(failure.code, USAGE);
}

#[test]
fn a_folder_of_several_runs_is_no_damaged_one_and_names_them() {
    let (run, series) = (&json!({ "best_epoch": 1 }), &json!({ "seeds": 2, "runs": [], "spread": [] }));
    check_several(
        series,
        &[("seed-0", run), ("seed-1", run)],
        "@ holds a series of --seeds and not one run: name one of these: @/seed-0, @/seed-1; `ferrotune compare` takes the whole folder, beside another one",
    );
    check_several(series, &[], "@ holds a series of --seeds and not one run: no run of it is finished; train it again");
    let names: Vec<String> = (0..8).map(|n| format!("seed-{n}")).collect();
    let all: Vec<(&str, &Value)> = names.iter().map(|name| (name.as_str(), run)).collect();
    check_several(
        &json!({ "seeds": 1u64 << 60 }),
        &all,
        "@ holds a series of --seeds and not one run: name one of these: @/seed-0, @/seed-1, @/seed-2, @/seed-3, @/seed-4, @/seed-5 and 2 more; `ferrotune compare` takes the whole folder, beside another one",
    );
    let points = json!([{ "percentage": 12.5 }, { "percentage": 50.0 }, { "percentage": 100.0 }]);
    check_several(
        &json!({ "learning_curve": points, "last_step": null, "seed": 0 }),
        &[("rows-12.5", run), ("rows-100", run)],
        "@ holds a learning curve and not one run: name one of these: @/rows-12.5, @/rows-100",
    );
    let search = &json!({ "metric": "accuracy", "trials": 20, "best": { "trial": 3 }, "as_said": {} });
    check_several(
        search,
        &[],
        "@ holds a search and not one run: train its best settings with `ferrotune train --config @/best.toml` and name that run",
    );
    check_several(
        search,
        &[("best", run), ("refit", series), ("refit/seed-0", run), ("refit/seed-1", run)],
        "@ holds a search and not one run: name one of these: @/refit/seed-0, @/refit/seed-1, @/best",
    );
}

#[test]
fn a_series_is_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let write_results = |text: &str| std::fs::write(folder.path().join(RESULTS), text).unwrap();
    assert!(series(folder.path()).map_err(|failure| failure.message).unwrap().is_none());
    write_results("{\"seeds\": 2}");
    write(&folder.path().join("seed-0"), Kind::Numbers, "seed = 0");
    assert!(series(folder.path()).err().unwrap().message.contains("seed-1 is no folder"));
    write(&folder.path().join("seed-1"), Kind::Numbers, "seed = 1");
    let runs = series(folder.path()).map_err(|failure| failure.message).unwrap().unwrap();
    assert_eq!(runs.iter().map(RunFiles::name).collect::<Vec<_>>(), ["seed-0", "seed-1"]);
}
