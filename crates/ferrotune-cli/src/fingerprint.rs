//! What must be the same for a run to be continued: settings, data and model, by value and by hash.

use crate::exit::Failure;
use crate::settings::Resolved;
use ferrotune_data::{Part, Source};
use ferrotune_train::fingerprint::{Fingerprint, sha256_file};
use std::collections::BTreeMap;
use std::path::Path;

/// Settings that may differ between a run and its continuation: they do not change results.
const FREE: [&str; 10] = [
    "device",
    "threads",
    "log-every",
    "tensorboard",
    "report",
    "checkpoint-every",
    "activation-checkpointing",
    "prefix-cache",
    "prefix-cache-memory",
    "prefix-cache-dir",
];
/// Settings that name places; their contents count, not the names.
const PLACES: [&str; 5] = ["model", "train", "validation", "test", "output"];

/// The fingerprint of a run on this processor.
pub fn of(resolved: &Resolved, model: &Path, processor: &str) -> Result<Fingerprint, Failure> {
    let mut fingerprint = Fingerprint::default();
    let settings = toml::Table::try_from(&resolved.settings).expect("settings are a table");
    for (key, value) in settings {
        if FREE.contains(&key.as_str()) || PLACES.contains(&key.as_str()) {
            continue;
        }
        fingerprint.fix(&key, value);
    }
    let s = &resolved.settings;
    for (part, path) in
        [(Part::Train, Some(&resolved.train)), (Part::Validation, s.validation.as_ref()), (Part::Test, s.test.as_ref())]
    {
        let Some(path) = path else { continue };
        let sums =
            Source::find(path, part)?.files.iter().map(|file| sha256_file(file)).collect::<Result<Vec<_>, _>>()?;
        fingerprint.fix(&sum_of(part), sums.join(" "));
    }
    let mut files: Vec<_> =
        std::fs::read_dir(model).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    files.sort();
    for name in files.iter().filter_map(|name| name.to_str()) {
        if name == "config.json" || name == "tokenizer.json" || name.ends_with(".safetensors") {
            fingerprint.fix(&format!("sha256 of the model's {name}"), sha256_file(&model.join(name))?);
        }
    }
    fingerprint.note("processor", processor);
    fingerprint.fix("ferrotune", env!("CARGO_PKG_VERSION"));
    Ok(fingerprint)
}

/// The sums of the data in a fingerprint, by part.
pub fn data(fingerprint: &Fingerprint) -> BTreeMap<String, String> {
    let parts = [Part::Train, Part::Validation, Part::Test];
    let sum = |part: Part| Some((part.name().to_string(), fingerprint.immutable.get(&sum_of(part))?.clone()));
    parts.into_iter().filter_map(sum).collect()
}

fn sum_of(part: Part) -> String {
    format!("sha256 of {}", part.name())
}
