//! The rules about files as a whole: headers, lengths, sizes, and names that must not be in them.
//!
//! It must not look at code; that is for the neighbours.

use super::Finding;
use super::tree::Tree;

/// Lines of a source file at most.
const MOST_LINES: usize = 500;
/// Bytes of a file at most.
const MOST_BYTES: u64 = 1 << 20;
/// Where larger files may lie.
const FIXTURES: &str = "tests/golden/";

/// Hosts of package registries and of the files behind them, in pieces so that this file does not hold them itself.
const HOSTS: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pypi", ".python.org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
];

/// A source file says first what it is for.
pub fn every_source_has_a_header(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.path.ends_with(".rs")) {
        let first = file.text.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        if first.strip_prefix("//!").is_none_or(|rest| rest.trim().is_empty()) {
            let message = "opens without a `//!` header that says what the file is for".to_owned();
            findings.push(Finding { path: file.path.clone(), line: 1, message });
        }
    }
}

/// A source file fits in one head.
pub fn no_source_is_too_long(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.path.ends_with(".rs")) {
        let lines = file.text.as_deref().unwrap_or_default().lines().count();
        if lines > MOST_LINES {
            let message = format!("{lines} lines, at most {MOST_LINES} are allowed: split the file");
            findings.push(Finding { path: file.path.clone(), line: MOST_LINES + 1, message });
        }
    }
}

/// A clone stays small.
pub fn no_file_is_too_big(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.size > MOST_BYTES && !file.path.starts_with(FIXTURES)) {
        let message = format!("{} bytes, at most {MOST_BYTES} are allowed outside {FIXTURES}", file.size);
        findings.push(Finding { path: file.path.clone(), line: 1, message });
    }
}

/// Which registry is asked is the configuration of cargo, pip and npm, not ours. Cargo's lock file needs its name.
pub fn no_registry_host(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.path != "Cargo.lock") {
        for (index, line) in file.text.as_deref().unwrap_or_default().lines().enumerate() {
            let line = line.to_ascii_lowercase();
            if let Some(host) = HOSTS.iter().find(|host| line.contains(*host)) {
                let message = format!("names {host}, a package registry's host: leave it to the tool's configuration");
                findings.push(Finding { path: file.path.clone(), line: index + 1, message });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn headers() {
        let files = [
            ("crates/a/src/lib.rs", "//! What it is for.\n"),
            ("crates/a/src/b.rs", "use a;\n//! Late.\n"),
            ("crates/a/src/c.rs", "\n//! Not on the first line.\n"),
            ("crates/a/src/d.rs", "//!\n"),
            ("crates/a/src/e.rs", ""),
            ("crates/a/build.py", ""),
        ];
        let message = "`//!` header";
        let expected = [
            ("crates/a/src/b.rs", 1, message),
            ("crates/a/src/c.rs", 1, message),
            ("crates/a/src/d.rs", 1, message),
            ("crates/a/src/e.rs", 1, message),
        ];
        check(every_source_has_a_header, &files, &expected);
    }

    #[test]
    fn lengths() {
        let files = [("a.rs", "x\n".repeat(500)), ("b.rs", "x\n".repeat(501)), ("c.csv", "x\n".repeat(501))];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        check(no_source_is_too_long, &files, &[("b.rs", 501, "501 lines")]);
    }

    #[test]
    fn sizes() {
        let (fits, too_big) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
        let files = [("a", fits.as_str()), ("b", &too_big), ("tests/golden/c", &too_big)];
        check(no_file_is_too_big, &files, &[("b", 1, "1048577 bytes")]);
    }

    #[test]
    fn hosts() {
        let url = format!("one\nhttps://INDEX.{}/x\n", HOSTS[0].to_uppercase());
        let files = [("Cargo.lock", url.as_str()), ("README.md", &url), ("a.md", "crates and io, pypi")];
        check(no_registry_host, &files, &[("README.md", 2, HOSTS[0])]);
        for host in HOSTS {
            check(no_registry_host, &[("x.toml", host)], &[("x.toml", 1, "registry")]);
        }
    }
}
