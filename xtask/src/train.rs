//! `cargo xtask train`: the real fine-tune, through the release build of the command line.
//!
//! It must not link training: xtask is built without optimisation.

use crate::{Outcome, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Runs `ferrotune train ARGS` in the release build. Without arguments it fine-tunes all-MiniLM-L6-v2 on
datasets/support-tickets, prints the test accuracy and leaves the run in runs/support-tickets.";

/// Where the run without arguments puts its results, below the root.
pub const OUTPUT: &str = "runs/support-tickets";

/// The run without arguments: the data.
const DATA: [&str; 10] = [
    "--model",
    crate::fetch::MODEL,
    "--train",
    "datasets/support-tickets/train.csv",
    "--validation",
    "datasets/support-tickets/validation.csv",
    "--test",
    "datasets/support-tickets/test.csv",
    "--output",
    OUTPUT,
];

/// The run without arguments: the hyper-parameters.
const HYPER_PARAMETERS: [&str; 7] = ["--lr", "2e-4", "--epochs", "8", "--batch-size", "16", "--overwrite"];

/// Runs the task.
pub fn run(arguments: &[String]) -> Outcome {
    let mut command = process::cargo(&["run", "--release", "-p", "ferrotune-cli", "--bin", "ferrotune", "--", "train"]);
    if arguments.is_empty() {
        // The paths above are relative to the root; those that a person types, to where they stand.
        command.args(DATA).args(HYPER_PARAMETERS).current_dir(process::root());
    } else {
        command.args(arguments);
    }
    process::run(&mut command)
}
