//! What a settings file cannot hold, though a flag can: whole numbers of 2^63 and more, and paths that are no text. The settings of every run are
//! written as one. It must not know what they mean.

use crate::args::TrainSettings;
use crate::exit::{Failure, usage};
use std::path::PathBuf;

/// Refuses settings that cannot be written.
pub(super) fn check_written(s: &TrainSettings) -> Result<(), Failure> {
    let wide = |number: Option<usize>| number.map(|number| number as u64);
    for (flag, number) in [
        ("validation-seed", s.validation_seed),
        ("train-share-seed", s.train_share_seed),
        ("max-length", wide(s.max_length)),
        ("batch-size", wide(s.batch_size)),
        ("micro-batch", wide(s.micro_batch)),
        ("max-tokens", wide(s.max_tokens)),
        ("epochs", s.epochs),
        ("max-steps", s.max_steps),
        ("average-best", wide(s.average_best)),
        ("lora-rank", wide(s.lora_rank)),
        ("gradual-unfreezing", wide(s.gradual_unfreezing)),
        ("reinit-layers", wide(s.reinit_layers)),
        ("patience", s.patience),
        ("seed", s.seed),
        ("seeds", s.seeds),
        ("threads", wide(s.threads)),
        ("prefix-cache-memory", s.prefix_cache_memory),
        ("log-every", s.log_every),
        ("checkpoint-every", s.checkpoint_every),
    ] {
        if let Some(number) = number.filter(|&number| i64::try_from(number).is_err()) {
            return Err(usage(format!(
                "--{flag} is {number}; it must be at most {}, the largest number that a settings file can hold",
                i64::MAX
            )));
        }
    }
    for (flag, path) in [
        ("train", &s.train),
        ("validation", &s.validation),
        ("test", &s.test),
        ("output", &s.output),
        ("prefix-cache-dir", &s.prefix_cache_dir),
    ] {
        check_path(flag, path)?;
    }
    Ok(())
}

/// Refuses a path that cannot be written.
pub(super) fn check_path(flag: &str, path: &Option<PathBuf>) -> Result<(), Failure> {
    match path {
        Some(path) if path.to_str().is_none() => Err(usage(format!(
            "--{flag} is {}, which is no text in UTF-8, and the settings of a run are written as text: rename the file or folder",
            path.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    /// Flags that are not in the lists above are found here: what passes can be written.
    #[test]
    fn every_setting_that_passes_can_be_written() {
        let mut refused = Vec::new();
        for key in TrainSettings::keys() {
            for value in [OsString::from(u64::MAX.to_string()), OsString::from_vec(b"bad\xff.csv".to_vec())] {
                let typed = [OsString::from("settings"), format!("--{key}").into(), value];
                // What is refused by the flag itself does not come so far.
                let command = TrainSettings::augment_args(clap::Command::new("settings"));
                let Ok(matches) = command.try_get_matches_from(typed) else { continue };
                let settings = TrainSettings::from_arg_matches(&matches).unwrap();
                match check_written(&settings) {
                    Ok(()) => assert!(toml::Table::try_from(&settings).is_ok(), "--{key}"),
                    Err(failure) => {
                        assert!(failure.message.starts_with(&format!("--{key} is ")), "{}", failure.message);
                        refused.push(key.clone());
                    }
                }
            }
        }
        assert!(refused.len() >= 24, "{refused:?}");
    }
}
