//! What must be the same for a run to be continued: settings, data and model, by value and by hash.

use crate::exit::Failure;
use crate::settings::Resolved;
use ferrotune_data::{Part, Source};
use ferrotune_train::fingerprint::{Fingerprint, sha256_file};
use std::path::Path;

/// Settings that may differ between a run and its continuation: they do not change results.
const FREE: [&str; 9] = [
    "device",
    "threads",
    "log-every",
    "tensorboard",
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
    Ok(with_settings(&contents(resolved, model, processor)?, resolved, &[]))
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
pub fn contents(resolved: &Resolved, model: &Path, processor: &str) -> Result<Fingerprint, Failure> {
    let mut fingerprint = Fingerprint::default();
    let s = &resolved.settings;
    for (part, path) in
        [(Part::Train, Some(&resolved.train)), (Part::Validation, s.validation.as_ref()), (Part::Test, s.test.as_ref())]
    {
        let Some(path) = path else { continue };
        let sums =
            Source::find(path, part)?.files.iter().map(|file| sha256_file(file)).collect::<Result<Vec<_>, _>>()?;
        fingerprint.fix(&format!("sha256 of {}", part.name()), sums.join(" "));
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
