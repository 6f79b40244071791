//! What a settings file cannot hold, though a flag can: whole numbers of 2^63 and more, and paths that are no text. The settings of every run are
//! written as one. It must not know what they mean.

use crate::args::TrainSettings;
use crate::exit::{Failure, usage};
use std::path::PathBuf;

/// Refuses settings that cannot be written.
pub(super) fn check_written(s: &TrainSettings) -> Result<(), Failure> {
    for (flag, path) in [
        ("train", &s.train),
        ("validation", &s.validation),
        ("test", &s.test),
        ("output", &s.output),
        ("prefix-cache-dir", &s.prefix_cache_dir),
    ] {
        check_path(flag, path)?;
    }
    // As JSON, which holds the larger numbers too; the keys are the names of the flags.
    let all = serde_json::to_value(s).expect("settings whose paths are text are plain values");
    for (flag, number) in
        all.as_object().into_iter().flatten().filter_map(|(flag, value)| Some((flag, value.as_u64()?)))
    {
        if i64::try_from(number).is_err() {
            return Err(usage(format!(
                "--{flag} is {number}; it must be at most {}, the largest number that a settings file can hold",
                i64::MAX
            )));
        }
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

    /// Paths that are not in the list above are found here: what passes can be written.
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
