//! What lies where a model was looked for, for the message that it is not there. It must not know what is in the files.

use std::path::Path;

/// Names that a message has at most.
const SHOWN: usize = 8;

/// The nearest folder above a path where nothing is, and what it holds, such as ` (run holds checkpoints, metrics.jsonl)`; nothing where there is none,
/// or only the root.
pub fn above(path: &Path) -> String {
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir() && folder.parent().is_some());
    folder.map(|folder| format!(" ({} holds {})", folder.display(), listed(names(folder), ", "))).unwrap_or_default()
}

/// What to name in place of a folder that is no model's: the model folders in it, else what it holds.
pub fn instead(folder: &Path) -> String {
    let is_model = |name: &String| folder.join(name).join("config.json").is_file();
    let models: Vec<String> = names(folder).into_iter().filter(is_model).collect();
    match models.is_empty() {
        true => format!("it holds {}", listed(names(folder), ", ")),
        false => {
            let paths = models.iter().map(|name| folder.join(name).display().to_string()).collect();
            format!("name {}", listed(paths, " or "))
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// On one line, whatever the names are.
fn listed(mut names: Vec<String>, between: &str) -> String {
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let shown = names.iter().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(between);
    match (names.len(), more) {
        (0, _) => "nothing".to_string(),
        (_, 0) => shown,
        (_, more) => format!("{shown} and {more} more"),
    }
}
