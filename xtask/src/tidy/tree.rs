//! The files of the repository as the rules see them.
//!
//! It walks the tree itself, so it needs no git and sees a file before it is committed. It must not know a rule.

use std::fs;
use std::path::Path;

use super::lexer::{Lexed, lex};

/// Folders that hold nothing of ours, wherever they are.
const SKIPPED: [&str; 5] = [".git", "target", "runs", ".venv", "__pycache__"];

/// All files, sorted by path.
pub struct Tree {
    /// The files.
    pub files: Vec<Entry>,
}

/// One file.
pub struct Entry {
    /// Relative to the root, with `/` between its parts.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// The content, if it is text.
    pub text: Option<String>,
    /// The content taken apart, if it is Rust.
    pub rust: Option<Lexed>,
}

impl Entry {
    /// A file with this content.
    pub fn new(path: &str, bytes: &[u8]) -> Entry {
        let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
        let rust = text.as_deref().filter(|_| path.ends_with(".rs")).map(lex);
        Entry { path: path.to_owned(), size: bytes.len() as u64, text, rust }
    }

    /// The name of the crate below `crates/` that the file belongs to.
    pub fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split_once('/').map(|(name, _)| name)
    }
}

impl Tree {
    /// Reads everything below `root`.
    ///
    /// # Errors
    /// The first file or folder that cannot be read.
    pub fn read(root: &Path) -> Result<Tree, String> {
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        files.sort_by(|a: &Entry, b| a.path.cmp(&b.path));
        Ok(Tree { files })
    }

    /// The Rust files: path, and content taken apart.
    pub fn rust(&self) -> impl Iterator<Item = (&Entry, &Lexed)> {
        self.files.iter().filter_map(|entry| Some((entry, entry.rust.as_ref()?)))
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<Entry>) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(|error| failed(&path, error))?;
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        // Links are not followed: what they lead to is either in the tree already or not ours.
        if kind.is_dir() {
            walk(&path, &format!("{prefix}{name}/"), files)?;
        } else if kind.is_file() {
            match fs::read(&path) {
                Ok(bytes) => files.push(Entry::new(&format!("{prefix}{name}"), &bytes)),
                // An editor's temporary file, gone between the listing and now.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
                Err(error) => return Err(failed(&path, error)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_found() {
        let tree = Tree::read(&crate::process::root()).unwrap();
        let here = tree.files.iter().find(|entry| entry.path == "xtask/src/tidy/tree.rs").expect("this file");
        assert!(here.rust.is_some());
        assert!(tree.files.iter().all(|entry| !entry.path.starts_with("target/") && !entry.path.starts_with(".git/")));
    }

    #[test]
    fn the_crate_of_a_file() {
        assert_eq!(Entry::new("crates/ferrotune-data/src/lib.rs", b"").crate_name(), Some("ferrotune-data"));
        assert_eq!(Entry::new("xtask/src/main.rs", b"").crate_name(), None);
        assert!(Entry::new("a.bin", &[0xff, 0xfe]).text.is_none());
    }
}
