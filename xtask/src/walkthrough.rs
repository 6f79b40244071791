//! `cargo xtask walkthrough`: the five commands of the README, as they stand there, on a small damaged slice of the bundled data set.
//!
//! It must not know what the commands do: it reads them from the README, and looks for what a person is promised to find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Runs the five commands under \"Five commands\" of the README in the release build, in target/walkthrough, on rows of
datasets/support-tickets made uneven and with ten test rows among the training rows, and looks whether each finds what it should.";

/// The heading in the README under which the commands stand.
const HEADING: &str = "### Five commands";
/// Test rows that are copied among the training rows.
const COPIED: usize = 10;

/// What each command must print, in the order of the README.
const FOUND: [(&str, &[&str]); 5] = [
    ("audit", &["10 rows of test also stand in train (10 exactly)", "train: uneven"]),
    ("baseline", &["most frequent class", "TF-IDF + logistic regression", "frozen encoder + logistic regression"]),
    ("search", &["best.toml"]),
    ("train", &["test: ", "fine-tuning gains", "95 % interval", "report "]),
    ("evaluate", &["95 % intervals", "worst mistakes, highest loss first"]),
];

/// Runs the task.
pub fn run(_: &[String]) -> Outcome {
    let readme = process::root().join("README.md");
    let text = fs::read_to_string(&readme).map_err(|error| format!("{}: {error}", readme.display()))?;
    let commands = commands(&text);
    let names: Vec<&str> = commands.iter().map(|words| words[0].as_str()).collect();
    if names != FOUND.map(|(name, _)| name) {
        return Err(format!("README.md: under \"{HEADING}\" stand the commands {names:?}"));
    }
    let folder = slice()?;
    let code = process::run(
        process::cargo(&["build", "--release", "-p", "ferrotune-cli", "--bin", "ferrotune"])
            .current_dir(process::root()),
    )?;
    if code != 0 {
        return Ok(code);
    }
    for (words, (name, wanted)) in commands.iter().zip(FOUND) {
        let said = said(&folder, words)?;
        if let Some(missing) = wanted.iter().find(|part| !said.contains(**part)) {
            return Err(format!("{name} did not say {missing:?}"));
        }
    }
    println!("walkthrough: {} commands of the README found what they should", commands.len());
    Ok(0)
}

/// The indented commands below the heading, without the name of the program.
fn commands(readme: &str) -> Vec<Vec<String>> {
    let mut below = readme.lines().skip_while(|line| !line.starts_with(HEADING)).skip(1);
    let section = below.by_ref().take_while(|line| !line.starts_with('#'));
    let command = |line: &str| {
        let words = line.strip_prefix("    ferrotune ")?.split_whitespace();
        Some(words.map(str::to_string).collect())
    };
    section.filter_map(command).collect()
}

/// Writes the rows: one class against all others, and some test rows among the training rows.
fn slice() -> Result<PathBuf, String> {
    let folder = process::root().join("target/walkthrough");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (train, test) = (rows("train.csv")?, rows("test.csv")?);
    let copied = test.iter().skip(1).take(COPIED);
    for (name, rows) in
        [("train.csv", train.iter().chain(copied).collect::<Vec<_>>()), ("test.csv", test.iter().collect())]
    {
        let lines: String = rows.into_iter().map(|row| row.clone() + "\n").collect();
        fs::write(folder.join(name), lines).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(folder)
}

/// The lines of a file of the bundled set, whose texts have no line breaks, with two classes.
fn rows(name: &str) -> Result<Vec<String>, String> {
    let path = process::root().join("datasets/support-tickets").join(name);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.lines()
        .map(|line| two_classes(line).ok_or_else(|| format!("{}: a line without a label", path.display())))
        .collect()
}

/// A row with the label `feature_request`, or else `other`; the header as it is.
fn two_classes(line: &str) -> Option<String> {
    let (text, label) = line.rsplit_once(',')?;
    let label = match label {
        "label" | "feature_request" => label,
        _ => "other",
    };
    Some(format!("{text},{label}"))
}

/// Runs a command in the folder and gives what it printed, which is shown too.
fn said(folder: &Path, words: &[String]) -> Result<String, String> {
    println!("$ ferrotune {}", words.join(" "));
    let program = process::target_folder()?.join("release/ferrotune");
    let output = Command::new(&program).args(words).current_dir(folder).output();
    let output = output.map_err(|error| format!("{} does not start: {error}", program.display()))?;
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    print!("{said}");
    if output.status.success() { Ok(said) } else { Err(format!("{} failed: {}", words[0], output.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_those_below_the_heading() {
        let readme = "    ferrotune no\n### Five commands from a to b\n\ntext\n\n    ferrotune audit --train a.csv\n    cargo no\n    \
                      ferrotune train --output run\n\n### Next\n\n    ferrotune no\n";
        assert_eq!(commands(readme), [vec!["audit", "--train", "a.csv"], vec!["train", "--output", "run"]]);
    }

    #[test]
    fn labels_become_two() {
        for (line, expected) in [
            ("text,label", Some("text,label")),
            ("\"a, b\",feature_request", Some("\"a, b\",feature_request")),
            ("c,refund", Some("c,other")),
            ("nothing", None),
        ] {
            assert_eq!(two_classes(line).as_deref(), expected);
        }
    }
}
