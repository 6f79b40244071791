//! The binary `ferrotune`: parses, runs a command, and ends with one line and an exit code. Only this crate prints and exits.
#![forbid(unsafe_code)]

// First, because its macros are known only to what comes after it.
#[macro_use]
mod terminal;

mod args;
mod audit;
mod commands;
mod device;
mod exit;
mod html;
mod hub;
mod model;
mod results;
mod rows;
mod run;
mod search;
mod serve;
mod settings;

use args::{Cli, Command};
use exit::{Failure, usage};
use ferrotune_kernels::isa;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run().and_then(|()| terminal::output::written()) {
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
    let command = Cli::read().command;
    // Before anything is done: kernels panic where they are to use what is not there.
    isa::chosen().map_err(usage)?;
    match command {
        Command::Train(args) => commands::train::run(*args),
        Command::Search(args) => commands::search::run(*args),
        Command::Pretrain(args) => commands::pretrain::run(*args),
        Command::Replay(args) => commands::replay::run(&args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Calibrate(args) => commands::calibrate::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Fetch(args) => commands::fetch::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Split(args) => commands::split::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::Baseline(args) => commands::baseline::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
    }
}
