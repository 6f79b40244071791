//! Where a model that was named lies, and how long its rows may be. It must not know what it is for.

use crate::exit::{Failure, usage};
use crate::hub::{HubSettings, Manifest, Resolved, resolve};

/// Turns a model argument into a folder, with progress on standard error.
pub fn find_model(model: &str) -> Result<Resolved, Failure> {
    let manifest = Manifest::embedded();
    Ok(resolve(model, &HubSettings::from_env(), &manifest, &mut |line| eprintln!("{line}"))?)
}

/// Row length limit for a model: what was asked, else what it was trained with, else 128; at most the model's positions.
pub fn max_length(asked: Option<usize>, trained: Option<usize>, positions: usize) -> Result<usize, Failure> {
    match asked {
        Some(n) if n > positions || n < 3 => {
            Err(usage(format!("--max-length is {n}; this model reads between 3 and {positions} tokens")))
        }
        Some(n) => Ok(n),
        None => Ok(trained.unwrap_or(128).clamp(3, positions)),
    }
}
