//! The commands, one file each.

mod attempt;
pub mod audit;
pub mod baseline;
mod budget;
pub mod calibrate;
pub mod compare;
pub mod devices;
mod ending;
pub mod evaluate;
pub mod fetch;
pub mod info;
pub mod init;
mod learning_curve;
pub mod predict;
pub mod pretrain;
pub mod replay;
pub mod report;
mod results;
pub mod search;
mod seeds;
pub mod split;
mod start;
#[cfg(test)]
pub(crate) mod tiny;
pub mod train;

use crate::exit::{Failure, usage};
use crate::hub::{HubSettings, Manifest, Resolved, resolve};

/// Turns a model argument into a folder, with progress on standard error.
pub fn find_model(model: &str) -> Result<Resolved, Failure> {
    let manifest = Manifest::embedded();
    Ok(resolve(model, &HubSettings::from_env(), &manifest, &mut |line| eprintln!("{line}"))?)
}

/// Limits rayon to so many threads. Called once, before any work.
pub fn use_threads(threads: Option<usize>) -> Result<(), Failure> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    builder.build_global().map_err(|error| usage(format!("cannot start {threads:?} threads: {error}")))
}

/// Runs `body` on a thread of the pool: kernels called from there do not wait for a worker to wake.
pub fn on_pool<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| body())
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
