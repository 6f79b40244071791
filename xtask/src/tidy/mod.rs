//! `cargo xtask tidy`: the rules of this repository that the compiler does not know.
//!
//! Each rule is a function from the tree to findings, in a file with its neighbours, and is tested there on files in
//! memory. It must not change a file, and it must not need a build.

mod console;
mod edges;
mod files;
mod lexer;
mod tree;
mod unsafety;

use crate::{Outcome, process};
use tree::Tree;

/// For `cargo xtask help`.
pub const HELP: &str = "\
Checks the rules of the house: edges between our crates, a `//!` header on every source file, at most 500
lines, unsafe only where allowed and with its reason, no console output and no environment below the command
line, no todo!, no package registry's host name, no file over 1 MiB outside tests/golden.";

/// Something that breaks a rule.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

/// A rule: adds what breaks it.
type Rule = fn(&Tree, &mut Vec<Finding>);

const RULES: [Rule; 11] = [
    edges::only_those_of_the_table,
    files::every_source_has_a_header,
    files::no_source_is_too_long,
    files::no_file_is_too_big,
    files::no_registry_host,
    unsafety::only_where_allowed,
    unsafety::every_use_has_its_reason,
    unsafety::other_crates_forbid_it,
    console::no_output_below_the_command_line,
    console::no_environment_below_the_command_line,
    console::nothing_is_left_to_do,
];

/// Runs the task.
pub fn run(_: &[String]) -> Outcome {
    let tree = Tree::read(&process::root())?;
    let mut findings = Vec::new();
    for rule in RULES {
        rule(&tree, &mut findings);
    }
    findings.sort_by(|a, b| (&a.path, a.line, &a.message).cmp(&(&b.path, b.line, &b.message)));
    for finding in &findings {
        println!("{}:{}: {}", finding.path, finding.line, finding.message);
    }
    println!("tidy: {} files, {} findings", tree.files.len(), findings.len());
    Ok(if findings.is_empty() { 0 } else { 1 })
}

/// Runs one rule on files in memory; `expected` holds path, line and a part of the message of each finding.
#[cfg(test)]
#[track_caller]
fn check(rule: Rule, files: &[(&str, &str)], expected: &[(&str, usize, &str)]) {
    let tree = Tree { files: files.iter().map(|(path, text)| tree::Entry::new(path, text.as_bytes())).collect() };
    let mut findings = Vec::new();
    rule(&tree, &mut findings);
    let fits = findings.len() == expected.len()
        && findings.iter().zip(expected).all(|(finding, (path, line, part))| {
            finding.path == *path && finding.line == *line && finding.message.contains(part)
        });
    assert!(fits, "expected {expected:#?}, got {findings:#?}");
}
