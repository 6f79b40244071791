//! Settings files: TOML whose keys are the names of flags, no others. It must not know what the settings mean.

use super::SEARCH;
use crate::args::{PretrainSettings, TrainSettings};
use crate::exit::{Failure, usage};
use clap::{Args, Command};
use serde::de::DeserializeOwned;
use std::path::Path;

/// How like a name must be (Jaro-Winkler) to be taken for what was meant.
const LIKE: f64 = 0.8;

/// The text of a settings file.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| usage(format!("cannot read {}: {e}", path.display())))
}

/// The settings of a file, and its table `[search]`.
pub(super) fn parse_with_search(text: &str, file: &str) -> Result<(TrainSettings, Option<toml::Table>), Failure> {
    let known = [TrainSettings::keys(), vec![SEARCH.to_string()]].concat();
    let mut table = parse_table(text, file, &known)?;
    let search = match table.remove(SEARCH) {
        None => None,
        Some(toml::Value::Table(search)) => Some(search),
        Some(_) => return Err(usage(format!("{file}: `{SEARCH}` is a table of what may be chosen: write [{SEARCH}]"))),
    };
    Ok((from_table(table, file)?, search))
}

/// The settings that a table holds.
pub fn from_table<S: DeserializeOwned>(table: toml::Table, file: &str) -> Result<S, Failure> {
    toml::Value::Table(table)
        .try_into()
        .map_err(|e: toml::de::Error| usage(format!("{file}: {}", e.to_string().trim().replace('\n', " "))))
}

/// A settings file with no other keys than these.
pub(super) fn parse_table(text: &str, file: &str, known: &[String]) -> Result<toml::Table, Failure> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        usage(format!("{file} is not valid TOML: {}", e.to_string().trim().replace('\n', " ")))
    })?;
    check_keys(&table, file, known)?;
    let switch = table.iter().find(|(key, value)| value.is_bool() && is_switch(key));
    if let Some((key, value)) = switch {
        return Err(usage(format!("{file}: `{key}` is {value}; write \"on\" or \"off\", with quotation marks")));
    }
    Ok(table)
}

/// Whether a setting is on or off, which is what true and false are taken for.
fn is_switch(key: &str) -> bool {
    let settings = PretrainSettings::augment_args(TrainSettings::augment_args(Command::new("settings")));
    let arg = settings.get_arguments().find(|arg| arg.get_long() == Some(key));
    arg.is_some_and(|arg| arg.get_possible_values().iter().map(|value| value.get_name()).eq(["on", "off"]))
}

/// Refuses a key that is not known, with the nearest one that is.
pub fn check_keys(table: &toml::Table, place: &str, known: &[String]) -> Result<(), Failure> {
    let Some(key) = table.keys().find(|key| !known.contains(key)) else { return Ok(()) };
    let likeness = |name: &String| strsim::jaro_winkler(name, key);
    let near = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|near| likeness(near) >= LIKE);
    let hint = match (&key[..], near) {
        ("learning-rate", _) if known.iter().any(|name| name == "lr") => "; did you mean `lr`?".to_string(),
        ("config" | "resume" | "overwrite", _) => "; it is said on the command line alone".to_string(),
        // With the feature it is known.
        ("device", _) => "; this program was built without the feature cuda and computes on the CPU".to_string(),
        (_, Some(near)) => format!("; did you mean `{near}`?"),
        (_, None) => String::new(),
    };
    Err(usage(format!("{place}: unknown key `{key}`{hint}")))
}
