//! What must be the same for a run to be continued: settings by value, data and model by hash.

use crate::settings::Resolved;
use crate::sums::Sums;
use ferrotune_train::fingerprint::Fingerprint;

/// Settings that may differ between a run and its continuation: they do not change results.
const FREE: [&str; 10] = [
    "device",
    "threads",
    "log-every",
    "tensorboard",
    "baselines",
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
    let mut fingerprint = Fingerprint::default();
    let settings = toml::Table::try_from(&resolved.settings).expect("settings are a table");
    for (key, value) in settings {
        if FREE.contains(&key.as_str()) || PLACES.contains(&key.as_str()) {
            continue;
        }
        fingerprint.fix(&key, value);
    }
    for part in &sums.data {
        let all: Vec<&str> = part.files.iter().map(|file| file.sha256.as_str()).collect();
        fingerprint.fix(&format!("sha256 of {}", part.part), all.join(" "));
    }
    for file in &sums.model {
        fingerprint.fix(&format!("sha256 of the model's {}", file.name), &file.sha256);
    }
    fingerprint.note("processor", processor);
    fingerprint.fix("ferrotune", env!("CARGO_PKG_VERSION"));
    fingerprint
}
