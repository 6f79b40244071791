//! What must be the same for a run to be continued: settings by value, data and model by hash. It must not know what becomes of a difference.

use crate::run::sums::Sums;
use crate::settings::Resolved;
use ferrotune_data::Part;
use ferrotune_train::store::fingerprint::Fingerprint;
use std::collections::BTreeMap;

/// Settings that may differ between a run and its continuation: they do not change results.
const FREE: [&str; 12] = [
    // What it takes away is seen in the others.
    "unset",
    "device",
    "threads",
    "log-every",
    "tensorboard",
    "baselines",
    "report",
    "checkpoint-every",
    "activation-checkpointing",
    "prefix-cache",
    "prefix-cache-memory",
    "prefix-cache-dir",
];
/// Settings that name places; their contents count, not the names.
const PLACES: [&str; 5] = ["model", "train", "validation", "test", "output"];

/// The fingerprint of a run with these files on this processor.
pub fn of(resolved: &Resolved, sums: &Sums, processor: &str) -> Fingerprint {
    with_settings(&contents(sums, processor), resolved, &[])
}

/// A fingerprint of contents with the settings, but for some.
pub fn with_settings(contents: &Fingerprint, resolved: &Resolved, but: &[&str]) -> Fingerprint {
    let mut fingerprint = contents.clone();
    let settings = toml::Table::try_from(&resolved.settings).expect("settings are a table");
    let is_fixed = |key: &str| ![&FREE[..], &PLACES, but].concat().contains(&key);
    settings.into_iter().filter(|(key, _)| is_fixed(key)).for_each(|(key, value)| fingerprint.fix(&key, value));
    fingerprint
}

/// The part that is the same for all settings of one model and the same rows.
pub fn contents(sums: &Sums, processor: &str) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    for part in &sums.data {
        let all: Vec<&str> = part.files.iter().map(|file| file.sha256.as_str()).collect();
        fingerprint.fix(&sum_of(&part.part), all.join(" "));
    }
    for file in &sums.model {
        fingerprint.fix(&format!("sha256 of the model's {}", file.name), &file.sha256);
    }
    fingerprint.note("processor", processor);
    fingerprint.fix("ferrotune", env!("CARGO_PKG_VERSION"));
    fingerprint
}

/// The sums of the data in a fingerprint, by part.
pub fn data(fingerprint: &Fingerprint) -> BTreeMap<String, String> {
    let parts = [Part::Train, Part::Validation, Part::Test];
    let sum = |part: Part| Some((part.name().to_string(), fingerprint.immutable.get(&sum_of(part.name()))?.clone()));
    parts.into_iter().filter_map(sum).collect()
}

fn sum_of(part: &str) -> String {
    format!("sha256 of {part}")
}
