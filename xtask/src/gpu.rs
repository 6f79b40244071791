//! `cargo xtask gpu`: packs what a machine with a GPU needs, which may have neither cargo nor a network. It must not need a GPU itself.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Outcome, fetch, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Packs target/gpu: the command line and the tests of the GPU backend (release), fixtures, scripts, a tokenizer and the first
rows of FILE, a CSV with the columns text and label (default: the bundled set). There, `python3 run.py` checks the numbers,
runs compute-sanitizer, fine-tunes, and times ferrotune in turn with PyTorch, in under 8 minutes; benches/gpu/README.md
says what it needs. What it prints last belongs into benches/RESULTS-gpu.md.";

/// Below the root.
const PACK: &str = "target/gpu";
/// Rows that are packed: more than any batch of the measures needs.
const ROWS: usize = 4000;
/// What the other machine takes.
const MOST_BYTES: u64 = 64 << 20;

/// Runs the task.
pub fn run(arguments: &[String]) -> Outcome {
    let rows = match arguments {
        [] => process::root().join("datasets/support-tickets/train.csv"),
        [file] => PathBuf::from(file),
        _ => return Err("gpu takes one file of rows at most".to_owned()),
    };
    let text = fs::read_to_string(&rows).map_err(|error| format!("{}: {error}", rows.display()))?;
    let pack = process::root().join(PACK);
    if pack.exists() {
        fs::remove_dir_all(&pack).map_err(|error| format!("{}: {error}", pack.display()))?;
    }
    fs::create_dir_all(&pack).map_err(|error| format!("{}: {error}", pack.display()))?;

    let build = ["build", "--release", "-p", "ferrotune-cli", "--features", "cuda", "--bin", "ferrotune"];
    copy_executables(&pack, &build, "ferrotune")?;
    let test = ["test", "--release", "--no-run", "--features", "driver", "-p"];
    for name in ["device", "contract"] {
        copy_executables(&pack, &[&test[..], &["ferrotune-cuda", "--test", name]].concat(), name)?;
    }
    copy_executables(&pack, &[&test[..], &["ferrotune-tests", "--test", "integration"]].concat(), "integration")?;

    copy_folder(&process::root().join("tests/golden"), &pack.join("golden"))?;
    copy_folder(&process::root().join("benches/gpu"), &pack)?;
    for script in ["batching.py", "rows.py", "tokens.py"] {
        copy(&process::root().join("benches/peers").join(script), &pack.join(script))?;
    }
    let model = PathBuf::from(fetch::folder()?);
    let tokenizer = pack.join("tokenizer");
    fs::create_dir_all(&tokenizer).map_err(|error| format!("{}: {error}", tokenizer.display()))?;
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"] {
        copy(&model.join(file), &tokenizer.join(file))?;
    }
    fs::write(pack.join("rows.csv"), first_rows(&text)).map_err(|error| format!("rows.csv: {error}"))?;

    let bytes = size(&pack)?;
    println!("{}: {:.1} MiB", pack.display(), bytes as f64 / f64::from(1 << 20));
    if bytes > MOST_BYTES {
        return Err(format!("more than {} MiB do not travel", MOST_BYTES >> 20));
    }
    println!("there: python3 run.py");
    Ok(0)
}

/// Builds, and copies the executable that cargo names, without its symbols.
fn copy_executables(pack: &Path, arguments: &[&str], name: &str) -> Result<(), String> {
    let mut build = process::cargo(arguments);
    let said = process::output(build.arg("--message-format=json").current_dir(process::root()))?;
    let path = said.lines().rev().find_map(executable).ok_or_else(|| format!("cargo named no executable {name}"))?;
    let to = pack.join(name);
    copy(Path::new(&path), &to)?;
    match process::run(std::process::Command::new("strip").arg(&to))? {
        0 => Ok(()),
        code => Err(format!("strip failed with exit code {code}")),
    }
}

/// The path of an executable in a message of cargo. A search, no parser: such paths have no escapes.
fn executable(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    rest.split_once('"').map(|(path, _)| path.to_owned())
}

/// The header and the first rows, cut where a line outside of quotes ends.
fn first_rows(text: &str) -> &str {
    let (mut is_quoted, mut lines) = (false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => lines += 1,
            _ => (),
        }
        if lines > ROWS {
            return &text[..=at];
        }
    }
    text
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for entry in entries(from)? {
        let target = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() { copy_folder(&entry, &target)? } else { copy(&entry, &target)? }
    }
    Ok(())
}

fn size(folder: &Path) -> Result<u64, String> {
    let mut bytes = 0;
    for entry in entries(folder)? {
        bytes += if entry.is_dir() { size(&entry)? } else { entry.metadata().map_or(0, |data| data.len()) };
    }
    Ok(bytes)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let read = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut entries = Vec::new();
    for entry in read {
        entries.push(entry.map_err(|error| format!("{}: {error}", folder.display()))?.path());
    }
    entries.retain(|entry| !entry.ends_with("__pycache__"));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_a_row_ends() {
        let text = format!("text,label\n{}", "\"two\nlines, \"\"quoted\"\"\",a\n".repeat(ROWS + 5));
        let first = first_rows(&text);
        assert_eq!(first.matches(",a\n").count(), ROWS);
        assert!(first.ends_with(",a\n"));
        assert_eq!(first_rows("text,label\nx,y"), "text,label\nx,y");
    }

    #[test]
    fn the_executable_of_a_message_is_found() {
        let message = r#"{"reason":"compiler-artifact","executable":"/x/target/release/ferrotune","fresh":true}"#;
        assert_eq!(executable(message).as_deref(), Some("/x/target/release/ferrotune"));
        assert_eq!(executable(r#"{"reason":"compiler-artifact","executable":null}"#), None);
    }
}
