//! Folders as earlier runs left them, and what is said of them or removed.

use super::*;

/// A folder in which there are these files, with what stands after `=`, and folders where a name ends in a slash.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let (file, text) = name.split_once('=').unwrap_or((*name, ""));
        match name.strip_suffix('/') {
            Some(name) => std::fs::create_dir(folder.path().join(name)).unwrap(),
            None => std::fs::write(folder.path().join(file), text).unwrap(),
        }
    }
    folder
}

/// What is in a folder but for the lock.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names.retain(|name| name != "run.lock");
    names
}

#[track_caller]
fn check(before: &[&str], resume: bool, overwrite: bool, expected: Result<(u64, &[&str]), &str>) {
    let folder = folder(before);
    let opened = RunFolder::open(folder.path(), resume, overwrite);
    let names = names(folder.path());
    match (opened, expected) {
        (Ok(opened), Ok((restarts, left))) => {
            assert_eq!((opened.restarts(), names), (restarts, left.iter().map(|name| name.to_string()).collect()));
            assert_eq!(opened.store.directory(), folder.path().join(checkpoints(restarts)));
        }
        (Err(failure), Err(says)) => assert!(failure.message.contains(says), "{}", failure.message),
        (opened, _) => panic!("{before:?}: {:?}", opened.map(|opened| opened.restarts()).map_err(|e| e.message)),
    }
}

#[test]
fn a_folder_says_how_often_its_run_began_again() {
    check(&[], false, false, Ok((0, &["checkpoints"])));
    check(&[], true, false, Err("holds no run"));
    for overwrite in [false, true] {
        check(
            &["ferrotune.toml=lr = 1e-4"],
            false,
            overwrite,
            Err("ferrotune.toml is there without a run that it belongs to"),
        );
    }
    // A model folder that a person put something into is not replaced, and nothing else is removed before that is known.
    let kept = folder(&["results.json={}", "best=mine"]);
    let before = names(kept.path());
    assert!(RunFolder::open(kept.path(), false, true).is_err());
    assert_eq!(names(kept.path()), before);
    check(&["ferrotune.toml=", "metrics.jsonl"], false, true, Ok((0, &["checkpoints"])));
    for used in ["checkpoints/", "checkpoints-restart-2/", "metrics.jsonl"] {
        check(&[used], false, false, Err("holds an earlier run"));
    }
    check(&["checkpoints/", "metrics.jsonl"], true, false, Ok((0, &["checkpoints", "metrics.jsonl"])));
    // Killed right after the folder of the new attempt was made.
    check(
        &["checkpoints/", "checkpoints-restart-1/", "metrics.jsonl"],
        true,
        false,
        Ok((1, &["checkpoints-restart-1", "metrics-left-0.jsonl"])),
    );
    // Killed later: the log is that of the new attempt.
    check(
        &["checkpoints-restart-2/", "metrics-left-0.jsonl", "metrics-left-1.jsonl", "metrics.jsonl"],
        true,
        false,
        Ok((2, &["checkpoints-restart-2", "metrics-left-0.jsonl", "metrics-left-1.jsonl", "metrics.jsonl"])),
    );
    check(
        &["checkpoints-restart-2/", "metrics-left-0.jsonl", "metrics-left-1.jsonl", "metrics.jsonl"],
        false,
        true,
        Ok((0, &["checkpoints"])),
    );
}

#[test]
fn a_restart_leaves_a_log_and_empty_checkpoints() {
    let folder = folder(&[]);
    let mut run = RunFolder::open(folder.path(), false, false).map_err(|e| e.message).unwrap();
    for restart in 1..=RESTARTS {
        std::fs::write(folder.path().join(LOG), restart.to_string()).unwrap();
        run.restart().map_err(|e| e.message).unwrap();
        assert_eq!(run.restarts(), restart);
        assert!(!has_checkpoints(folder.path()));
        let log = std::fs::read_to_string(folder.path().join(log_of(restart - 1))).unwrap();
        assert_eq!(log, restart.to_string());
        assert!(!folder.path().join(checkpoints(restart - 1)).exists());
    }
}

const SEEDS: &str = "results.json={\"seeds\": 2}";
const CURVE: &str = "results.json={\"learning_curve\": []}";
const SEARCH: &str = "results.json={\"trials\": 3}";

#[test]
fn a_run_replaces_no_series_and_no_search_unasked() {
    check(&[SEEDS], false, false, Err("holds an earlier series of --seeds: say --overwrite to replace it, or name"));
    check(&[CURVE], false, false, Err("holds an earlier learning curve: say --overwrite"));
    check(&[SEARCH], false, false, Err("holds an earlier study: say --overwrite"));
    check(&["study.jsonl"], false, false, Err("holds an earlier study: say --overwrite"));
    // What cannot be read may be the results of a run.
    check(&["results.json={"], false, false, Err("holds an earlier run: say --resume"));
    check(&["checkpoints/", SEEDS], true, false, Err("holds an earlier series of --seeds: say --overwrite"));
    check(&[SEEDS, "seed-0/"], false, true, Ok((0, &["checkpoints", "seed-0"])));
    check(
        &["study.jsonl", SEARCH, "best.toml", "study.svg", "trials/", "refit/"],
        false,
        true,
        Ok((0, &["checkpoints"])),
    );
    // These names are those of a search where a search is.
    check(&["trials/", "metrics.jsonl"], false, true, Ok((0, &["checkpoints", "trials"])));
}

#[test]
fn overwriting_removes_what_frozen_layers_gave_to_a_run_that_was_interrupted() {
    check(&["checkpoints/", "prefix-cache/"], false, true, Ok((0, &["checkpoints"])));
    check(&["checkpoints/", "prefix-cache/"], true, false, Ok((0, &["checkpoints", "prefix-cache"])));
}

#[track_caller]
fn check_claim(kind: Kind, before: &[&str], resume: bool, overwrite: bool, expected: Result<&[&str], &str>) {
    let folder = folder(before);
    let claimed = claim(folder.path(), kind, resume, overwrite).and_then(|_lock| {
        if overwrite {
            clear(folder.path())?;
        }
        Ok(names(folder.path()))
    });
    match (claimed, expected) {
        (Ok(left), Ok(expected)) => assert_eq!(left, expected, "{kind}: {before:?}"),
        (Err(failure), Err(says)) => assert!(failure.message.contains(says), "{}", failure.message),
        (claimed, _) => panic!("{kind}: {before:?}: {:?}", claimed.map_err(|failure| failure.message)),
    }
}

#[test]
fn a_series_or_a_search_replaces_nothing_unasked_and_goes_on_with_its_own_kind() {
    let own = [(Kind::Seeds, SEEDS), (Kind::LearningCurve, CURVE), (Kind::Study, SEARCH)];
    for (kind, results) in own {
        check_claim(kind, &[], false, false, Ok(&[]));
        for run in ["results.json={}", "checkpoints/", "checkpoints-restart-1/", "metrics.jsonl"] {
            check_claim(kind, &[run], false, false, Err("holds an earlier run: say --overwrite"));
            check_claim(kind, &[run], true, false, Err("holds an earlier run: say --overwrite"));
            check_claim(kind, &[run, "best/"], false, true, Ok(&["best"]));
        }
        check_claim(kind, &[results], false, false, Err(&format!("holds an earlier {kind}: say --resume")));
        check_claim(kind, &[results], true, false, Ok(&["results.json"]));
        for (other, results) in own.into_iter().filter(|&(other, _)| other != kind) {
            let says = format!("holds an earlier {other}: say --overwrite to replace it, or name another --output");
            check_claim(kind, &[results], false, false, Err(&says));
            check_claim(kind, &[results], true, false, Err(&says));
            check_claim(kind, &[results], false, true, Ok(&[]));
        }
    }
}

#[test]
fn a_search_that_is_overwritten_leaves_no_settings_behind() {
    let all = ["study.jsonl", SEARCH, "best.toml", "study.svg", "trials/", "refit/", "prefix-cache/", "notes.txt"];
    check_claim(Kind::Study, &all, false, true, Ok(&["notes.txt"]));
    // Killed before its end it has no results yet.
    check_claim(Kind::Study, &["study.jsonl", "trials/"], false, false, Err("holds an earlier study: say --resume"));
    check_claim(Kind::Study, &["study.jsonl", "trials/"], false, true, Ok(&[]));
}
