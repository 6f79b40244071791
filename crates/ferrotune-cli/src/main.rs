//! The binary `ferrotune`: parses, runs a command, and ends with one line and an exit code. Only this crate prints and exits.
#![forbid(unsafe_code)]

mod args;
mod audit;
mod auto;
mod card;
mod commands;
mod data;
mod depth;
mod device;
mod exit;
mod fingerprint;
mod held_out;
mod hub;
mod inputs;
mod memory;
mod model;
mod notes;
mod prefix;
mod progress;
mod recipes;
mod report;
mod run_folder;
mod search;
mod settings;
mod shown;
mod staged;
mod task;
mod tuning;
mod voice;

use args::{Cli, Command};
use exit::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

#[cfg(feature = "cuda")]
fn run() -> Result<(), Failure> {
    device::cuda::catch(command)
}

#[cfg(not(feature = "cuda"))]
fn run() -> Result<(), Failure> {
    command()
}

fn command() -> Result<(), Failure> {
    match Cli::read().command {
        Command::Train(args) => commands::train::run(*args),
        Command::Search(args) => commands::search::run(*args),
        Command::Pretrain(args) => commands::pretrain::run(*args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Fetch(args) => commands::fetch::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Split(args) => commands::split::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
    }
}
