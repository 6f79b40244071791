//! The rule about who may depend on whom, read from the Cargo.toml of every package.
//!
//! It must not ask cargo: a broken manifest is cargo's finding, and a line scan is enough for the names of dependencies.

use super::Finding;
use super::tree::Tree;

/// Our crates, each with its rank and the own crates that it may depend on. "*" is all crates of the table.
const TABLE: [(&str, u8, &[&str]); 12] = [
    ("ferrotune-kernels", 0, &[]),
    ("ferrotune-data", 0, &[]),
    ("ferrotune-tensor", 1, &["ferrotune-kernels"]),
    ("ferrotune-optim", 2, &["ferrotune-tensor"]),
    ("ferrotune-bert", 2, &["ferrotune-tensor"]),
    ("ferrotune-cuda", 2, &["ferrotune-tensor", "ferrotune-kernels"]),
    ("ferrotune-train", 3, &["ferrotune-tensor", "ferrotune-optim", "ferrotune-data"]),
    ("ferrotune-cli", 4, &["*"]),
    ("xtask", 5, &[]),
    ("ferrotune-tests", 5, &["*"]),
    ("ferrotune-benches", 5, &["*"]),
    // The candle opponent of benches/peers.
    ("peers-candle", 5, &[]),
];

/// An own crate depends on another only along an edge of the table; tests inside a crate may also use any crate of no
/// higher rank.
pub fn only_those_of_the_table(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in &tree.files {
        let (Some(text), true) = (&file.text, file.path.ends_with("/Cargo.toml")) else { continue };
        let mut found =
            |line: usize, message: String| findings.push(Finding { path: file.path.clone(), line, message });
        let name = lines(text).find(|line| line.section == "package" && line.key == "name").map(|line| line.value);
        let Some(name) = name else { continue };
        let Some((_, rank, allowed)) = entry(name) else {
            found(1, format!("{name} is not in tidy's table of crates (xtask/src/tidy/edges.rs)"));
            continue;
        };
        for line in lines(text).filter(|line| line.is_dependency()) {
            let target = line.package();
            if !is_ours(target) {
                continue;
            }
            let target_rank = entry(target).map(|(_, rank, _)| rank);
            let by_table = allowed.contains(&target) || allowed.contains(&"*") && target != "xtask";
            let by_rank = line.is_dev() && target_rank.is_some_and(|target_rank| target_rank <= rank);
            if !by_table && !by_rank {
                found(line.number, format!("{name} must not depend on {target}"));
            }
        }
    }
}

fn entry(name: &str) -> Option<(&'static str, u8, &'static [&'static str])> {
    TABLE.iter().find(|(other, ..)| *other == name).copied()
}

fn is_ours(name: &str) -> bool {
    name.starts_with("ferrotune") || name == "xtask"
}

/// A `key = value` line of a manifest, or a section header that is itself a dependency (`[dependencies.name]`).
struct Line<'a> {
    number: usize,
    section: &'a str,
    key: &'a str,
    value: &'a str,
    whole: &'a str,
}

impl<'a> Line<'a> {
    /// The section without a leading `target.'cfg(...)'.`, if it lists dependencies.
    fn table(&self) -> Option<&'a str> {
        let table = match self.section.strip_prefix("target.") {
            Some(rest) => {
                &rest[rest.find("dependencies").map_or(0, |at| rest[..at].rfind('.').map_or(0, |dot| dot + 1))..]
            }
            None => self.section,
        };
        ["dependencies", "dev-dependencies", "build-dependencies"]
            .into_iter()
            .find(|name| *name == table)
            .map(|_| table)
    }

    fn is_dependency(&self) -> bool {
        self.table().is_some()
    }

    fn is_dev(&self) -> bool {
        self.table() == Some("dev-dependencies")
    }

    /// The package that the line depends on: `package = "..."` if it renames one, otherwise the key.
    fn package(&self) -> &'a str {
        let renamed = self.whole.split_once("package").and_then(|(_, rest)| rest.trim_start().strip_prefix('='));
        renamed.and_then(|rest| rest.split('"').nth(1)).unwrap_or(self.key)
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut section = "";
    text.lines().enumerate().filter_map(move |(index, whole)| {
        let whole = whole.split(" #").next().unwrap_or(whole).trim();
        let number = index + 1;
        if let Some(header) = whole.strip_prefix('[') {
            section = header.trim_end_matches(']').trim_start_matches('[').trim();
            // `[dependencies.name]`: the header is the dependency, and its lines are not.
            let (table, key) = section.rsplit_once('.')?;
            let line = Line { number, section: table, key, value: "", whole: key };
            return line.is_dependency().then_some(line);
        }
        let (left, value) = whole.split_once('=')?;
        // `name.workspace = true` and `"name" = ...`
        let key = left.trim().split('.').next().unwrap_or_default().trim_matches('"');
        Some(Line { number, section, key, value: value.trim().trim_matches('"'), whole })
    })
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn edges_follow_the_table() {
        for (name, body, expected) in [
            ("tensor", "[dependencies]\nferrotune-kernels.workspace = true\nndarray.workspace = true\n", None),
            ("kernels", "[dependencies]\nferrotune-tensor.workspace = true\n", Some("ferrotune-tensor")),
            ("optim", "[dependencies]\nferrotune-kernels = { path = \"../k\" }\n", Some("ferrotune-kernels")),
            ("optim", "[dev-dependencies]\nferrotune-kernels.workspace = true\n", None),
            ("data", "[dev-dependencies]\nferrotune-kernels.workspace = true\n", None),
            ("data", "[dev-dependencies]\nferrotune-tensor.workspace = true\n", Some("ferrotune-tensor")),
            ("data", "[build-dependencies]\nferrotune-kernels.workspace = true\n", Some("ferrotune-kernels")),
            ("data", "[dependencies.ferrotune-train]\npath = \"../t\"\n", Some("ferrotune-train")),
            ("data", "[target.'cfg(unix)'.dependencies]\nferrotune-cli = \"1\"\n", Some("ferrotune-cli")),
            ("data", "[target.'cfg(unix)'.dependencies.ferrotune-cli]\npath = \"x\"\n", Some("ferrotune-cli")),
            ("data", "[dependencies]\nk = { package = \"ferrotune-kernels\" }\n", Some("ferrotune-kernels")),
            ("data", "[features]\nferrotune-cli = []\n# ferrotune-cli = 1\n", None),
            ("train", "[dependencies]\nferrotune-bert.workspace = true\n", Some("ferrotune-bert")),
            ("train", "[dev-dependencies]\nferrotune-bert.workspace = true\n", None),
            ("cli", "[dependencies]\nferrotune-bert.workspace = true\nferrotune-cuda.workspace = true\n", None),
            ("cli", "[dependencies]\nxtask.workspace = true\n", Some("xtask")),
            ("tests", "[dependencies]\nferrotune-cli.workspace = true\n", None),
        ] {
            let text = format!("[package]\nname = \"ferrotune-{name}\"\n{body}");
            let expected: Vec<_> = expected
                .map(|target| {
                    (
                        "crates/x/Cargo.toml",
                        3 + usize::from(!body.starts_with("[dependencies.") && !body.contains(".dependencies.")),
                        target,
                    )
                })
                .into_iter()
                .collect();
            check(only_those_of_the_table, &[("crates/x/Cargo.toml", &text)], &expected);
        }
    }

    #[test]
    fn a_new_crate_must_enter_the_table() {
        let text = "[package]\nname = \"ferrotune-extra\"\n";
        check(
            only_those_of_the_table,
            &[("crates/e/Cargo.toml", text)],
            &[("crates/e/Cargo.toml", 1, "not in tidy's table")],
        );
        let xtask = "[package]\nname = \"xtask\"\n[dependencies]\nferrotune-data.workspace = true\n";
        check(only_those_of_the_table, &[("xtask/Cargo.toml", xtask)], &[("xtask/Cargo.toml", 4, "ferrotune-data")]);
    }
}
