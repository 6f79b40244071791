//! `cargo xtask bench`: the criterion benches of the kernels and of a training step.
//!
//! It must not time anything itself.

use crate::{Outcome, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Runs `cargo bench -p ferrotune-benches ARGS`, for example `cargo xtask bench -- matmul` for some of them.";

/// Runs the task.
pub fn run(arguments: &[String]) -> Outcome {
    process::run(process::cargo(&["bench", "-p", "ferrotune-benches"]).args(arguments))
}
