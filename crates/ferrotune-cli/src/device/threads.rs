//! The threads of the processor. It must not know what runs on them.

use crate::exit::{Failure, usage};

/// Limits rayon to so many threads. Called once, before any work.
pub fn use_threads(threads: Option<usize>) -> Result<(), Failure> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    builder.build_global().map_err(|error| usage(format!("cannot start {threads:?} threads: {error}")))
}

/// Runs `body` on a thread of the pool: kernels called from there do not wait for a worker to wake.
pub fn on_pool<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| body())
}
