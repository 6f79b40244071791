//! `cargo xtask fetch`: brings a pretrained model to this machine ahead of its use.
//!
//! It must not know how: that is the command line's business.

use crate::{Outcome, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Runs `ferrotune fetch ARGS`: downloads a model into the cache and prints its folder. Without arguments,
the model that `train` uses.";

/// The model of the tasks without arguments.
pub const MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Runs the task.
pub fn run(arguments: &[String]) -> Outcome {
    let mut command = process::cargo(&["run", "--release", "-p", "ferrotune-cli", "--bin", "ferrotune", "--", "fetch"]);
    if arguments.is_empty() {
        command.arg(MODEL);
    } else {
        command.args(arguments);
    }
    process::run(&mut command)
}

/// Fetches the model of the tasks without arguments and gives its folder.
///
/// # Errors
/// A sentence, if it cannot be fetched.
pub fn folder() -> Result<String, String> {
    let mut command =
        process::cargo(&["run", "--release", "-p", "ferrotune-cli", "--bin", "ferrotune", "--", "fetch", MODEL]);
    process::output(command.current_dir(process::root()))
}
