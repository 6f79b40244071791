//! `ferrotune search` as a person runs it, on a tiny model: killed in the middle and resumed, it ends with the study of a search that ran through;
//! its best settings are those of a run of `train`, and a refit of others does not go on.
#![forbid(unsafe_code)]

use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SPACE: &str = "\
lr = 0.001
[search]
lr = { low = 1e-4, high = 1e-1, log = true }
epochs = { low = 2, high = 4 }
optimizer = ['adamw', 'sgd']
momentum = { low = 0.0, high = 0.9, when = { optimizer = 'sgd' } }
label-smoothing = ['none', 0.1]
freeze = ['none', 'all-but.1']
";

/// A tiny pretrained model.
fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name).join("model")
}

/// A folder with rows whose class is a word, and a settings file that names everything.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        let words = ["river", "boat", "bread", "friend", "rain", "garden", "letter", "paper", "cloud", "market"];
        let rows = |from: usize, count: usize| {
            let mut text = String::from("text,label\n");
            for n in from..from + count {
                let (class, sign) = [("good", "good"), ("bad", "bad")][n % 2];
                let (one, two) = (words[n % 10], words[(n / 10 + 3 * n) % 10]);
                writeln!(text, "the {one} is {sign} and the {two} is very {sign} {n},{class}").unwrap();
            }
            text
        };
        std::fs::write(place.path("train.csv"), rows(0, 120)).unwrap();
        std::fs::write(place.path("validation.csv"), rows(120, 40)).unwrap();
        std::fs::write(place.path("test.csv"), rows(160, 40)).unwrap();
        let settings = format!(
            "model = {:?}\ntrain = 'train.csv'\nvalidation = 'validation.csv'\ntest = 'test.csv'\nbatch-size = 8\nmax-length = 32\nthreads = 1\n",
            model("tiny-single")
        );
        std::fs::write(place.path("ferrotune.toml"), settings + SPACE).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferrotune"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &str) -> Output {
        let output = self.command(arguments).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {shown}");
        output
    }

    fn lines(&self, study: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(study).join("study.jsonl")).unwrap_or_default();
        text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The study without the time that it took.
    fn timeless(&self, study: &str) -> Vec<Value> {
        let mut lines = self.lines(study);
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("seconds");
        }
        lines
    }

    /// Kills the search once its study has so many lines. False if it was done before.
    fn kill_at(&self, lines: usize, arguments: &str, study: &str) -> bool {
        let mut child: Child = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while self.lines(study).len() < lines {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(begin.elapsed() < Duration::from_secs(300), "the study does not grow");
            std::thread::sleep(Duration::from_millis(1));
        }
        // SIGKILL on Unix: no handler runs.
        child.kill().unwrap();
        child.wait().unwrap();
        true
    }
}

#[test]
fn a_search_that_is_killed_again_and_again_ends_with_the_same_study() {
    let place = Place::new();
    let search = "search --trials 12 --seed 3 --output";
    let output = place.run(&format!("{search} whole"));
    let whole = place.timeless("whole");
    let count = |event: &str| whole.iter().filter(|line| line["event"] == event).count();
    assert_eq!(count("trial"), 12);
    assert_eq!(count("finished") + count("failed") + count("pruned"), 12);
    assert!(count("finished") >= 1 && count("pruned") >= 6, "{whole:?}");
    assert!(!place.path("whole/trials/0000/checkpoints").exists(), "nothing is left that is large");
    let said = String::from_utf8_lossy(&output.stdout).to_string();
    assert!(said.contains("what mattered") && said.contains("best       trial"), "{said}");
    assert!(said.contains("chance     40 validation rows, which chose it"), "{said}");
    assert!(!said.contains("test:"), "test rows are not measured");
    assert!(std::fs::read_to_string(place.path("whole/study.svg")).unwrap().starts_with("<svg"));

    let resumed = format!("{search} killed --resume");
    assert!(place.kill_at(1, &format!("{search} killed"), "killed"));
    for lines in 2..whole.len() {
        place.kill_at(lines, &resumed, "killed");
    }
    place.run(&resumed);
    assert_eq!(place.timeless("killed"), whole);
    let best = |study: &str| std::fs::read_to_string(place.path(study).join("best.toml")).unwrap();
    assert_eq!(best("killed").replace("killed/best", "whole/best"), best("whole"));
}

#[test]
fn the_best_settings_are_those_of_a_run() {
    let place = Place::new();
    // The loss, because an accuracy of few rows is often the same by chance.
    place.run("search --trials 6 --metric loss --output study");
    let results: Value = serde_json::from_slice(&std::fs::read(place.path("study/results.json")).unwrap()).unwrap();
    // A trial that was halted at its rungs is the run that goes through, to the same bits.
    place.run("train --config study/best.toml");
    let run: Value = serde_json::from_slice(&std::fs::read(place.path("study/best/results.json")).unwrap()).unwrap();
    assert!(run["test"].is_object(), "the test rows are measured here");
    let values: Vec<f64> =
        run["epochs"].as_array().unwrap().iter().map(|epoch| epoch["validation"]["value"].as_f64().unwrap()).collect();
    assert_eq!(results["best"]["value"].as_f64(), values.iter().copied().reduce(f64::min));

    // A larger budget goes on; the best settings are trained anew from two seeds.
    place.run("search --trials 7 --metric loss --output study --resume --refit-seeds 2");
    let trials = place.lines("study").iter().filter(|line| line["event"] == "trial").count();
    assert_eq!(trials, 7);
    let refit: Value = serde_json::from_slice(&std::fs::read(place.path("study/refit/results.json")).unwrap()).unwrap();
    assert_eq!((refit["seeds"].as_u64(), refit["runs"][1]["split"].as_str()), (Some(2), Some("test")));
}

#[test]
fn a_refit_goes_on_only_with_the_settings_that_it_began_with() {
    let place = Place::new();
    let file = place.path("ferrotune.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    // What is said learns next to nothing, so that the other rate is the best as soon as it is tried.
    std::fs::write(&file, settings.replace(SPACE, "lr = 1e-5\n[search]\nlr = [1e-5, 3e-3]\n")).unwrap();
    let search = |arguments: &str| {
        let always = "search --sampler grid --pruning off --metric loss --output study";
        String::from_utf8_lossy(&place.run(&format!("{always} {arguments}")).stdout).into_owned()
    };
    let rate = || {
        let text = std::fs::read_to_string(place.path("study/refit/ferrotune.toml")).unwrap();
        text.parse::<toml::Table>().unwrap()["lr"].as_float()
    };
    let anew = "study/refit holds no run of these settings to go on with, and is begun anew";
    assert!(!search("--trials 1 --refit-seeds 1").contains(anew));
    assert_eq!(rate(), Some(1e-5));
    assert!(search("--trials 2 --resume --refit-seeds 1").contains(anew));
    assert_eq!(rate(), Some(3e-3));
    // Said again it goes on, and so does a series.
    assert!(!search("--trials 2 --resume --refit-seeds 1").contains(anew));
    // A finished refit of these settings is not removed for another number of seeds.
    let two = "search --sampler grid --pruning off --metric loss --output study --trials 2 --resume --refit-seeds 2";
    let refused = place.command(two).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(2)
            && said.contains("with one seed instead of several, several instead of one, or other test rows"),
        "{said}"
    );
    assert!(place.path("study/refit/best").exists());
    std::fs::remove_dir_all(place.path("study/refit")).unwrap();
    search("--trials 2 --resume --refit-seeds 2");
    assert!(!search("--trials 2 --resume --refit-seeds 2").contains(anew));

    search("--trials 1 --overwrite");
    assert!(!place.path("study/refit").exists(), "a study that was replaced leaves no model behind");
}

#[test]
fn no_chance_is_said_of_words() {
    let place = Place::new();
    let rows = |from: usize, count: usize| {
        let mut text = String::new();
        for n in from..from + count {
            let word = ["river", "boat", "bread", "friend", "rain", "garden"][n % 6];
            let (sign, tag) = [("good", "O"), ("bad", "B-X")][n % 2];
            writeln!(
                text,
                "{{\"tokens\": [\"the\", \"{word}\", \"{sign}\", \"{n}\"], \"tags\": [\"O\", \"O\", \"{tag}\", \"O\"]}}"
            )
            .unwrap();
        }
        text
    };
    std::fs::write(place.path("words.jsonl"), rows(0, 40)).unwrap();
    std::fs::write(place.path("held.jsonl"), rows(40, 20)).unwrap();
    let settings = format!(
        "model = {:?}\ntrain = 'words.jsonl'\nvalidation = 'held.jsonl'\nbatch-size = 8\nmax-length = 32\nthreads = 1\nlr = 1e-3\n[search]\nlr = [1e-3, 1e-2]\n",
        model("tiny-tokens")
    );
    std::fs::write(place.path("words.toml"), settings).unwrap();
    let output = place.run("search --config words.toml --metric accuracy --trials 1 --pruning off --output words");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("best       trial 0: accuracy"), "{said}");
    assert!(!said.contains("chance"), "{said}");
}

#[test]
fn what_cannot_be_searched_is_named() {
    let place = Place::new();
    place.run("search --trials 1 --pruning off --output study");
    for (arguments, code, says) in [
        ("search --trials 2 --output study", 2, "holds an earlier study: say --resume"),
        ("search --trials 2 --output other --resume", 2, "holds no study"),
        (
            "search --trials 2 --output study --pruning off --batch-size 4 --resume",
            8,
            "batch-size was \"8\", now \"4\"",
        ),
        ("search --trials 2 --output study --sampler random --pruning off --resume", 8, "sampler was \"tpe\""),
        ("search --output other --seeds 3", 2, "--seeds trains the same settings again"),
        ("search --output other --pruning off --reduction 2", 2, "belong to --pruning halving"),
        ("search --output other --first-rung 99epochs", 2, "--first-rung lies behind the end of every trial"),
        ("search --output other --first-rung soon", 2, "write a share below 100 %"),
        ("search --output other --validation-share 0 --config none.toml", 2, "cannot read none.toml"),
    ] {
        let output = place.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(says), "{arguments}: {said}");
    }
    assert!(!place.path("other").exists(), "nothing is written before all is known to be right");
}
