//! `cargo xtask TASK`: what a developer or CI does with this repository, one file a task.
//!
//! It must not link any crate of ours: it is built in the dev profile, in seconds, and calls cargo for the rest. A task
//! that trains does so through `cargo run --release`.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod fetch;
mod golden;
mod gpu;
mod process;
mod ptx;
mod tidy;
mod train;
mod walkthrough;

use std::process::ExitCode;

/// A task: its name, what `cargo xtask help` says about it, and the function that does it.
struct Task {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Outcome,
}

/// The exit code of a task that ran, or the reason why it could not.
type Outcome = Result<u8, String>;

const TASKS: [Task; 9] = [
    Task { name: "train", arguments: "[ARGS]", help: train::HELP, run: train::run },
    Task { name: "fetch", arguments: "[ARGS]", help: fetch::HELP, run: fetch::run },
    Task { name: "golden", arguments: "[ARGS]", help: golden::HELP, run: golden::run },
    Task { name: "bench", arguments: "[ARGS]", help: bench::HELP, run: bench::run },
    Task { name: "gpu", arguments: "[ROWS]", help: gpu::HELP, run: gpu::run },
    Task { name: "ptx", arguments: "", help: ptx::HELP, run: ptx::run },
    Task { name: "tidy", arguments: "", help: tidy::HELP, run: tidy::run },
    Task { name: "walkthrough", arguments: "", help: walkthrough::HELP, run: walkthrough::run },
    Task { name: "ci", arguments: "", help: ci::HELP, run: ci::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        None => {
            print!("{}", help());
            Ok(2)
        }
        Some((name, _)) if ["help", "-h", "--help"].contains(&name.as_str()) => {
            print!("{}", help());
            Ok(0)
        }
        Some((name, rest)) => match TASKS.iter().find(|task| task.name == name) {
            Some(task) if task.arguments.is_empty() && !rest.is_empty() => {
                Err(format!("{name} takes no arguments, got '{}'", rest.join(" ")))
            }
            Some(task) => (task.run)(rest),
            None => Err(format!("there is no task '{name}'; `cargo xtask help` lists them")),
        },
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::from(2)
        }
    }
}

fn help() -> String {
    let mut text = String::from("Tasks of this repository: cargo xtask TASK [ARGS]\n");
    for task in &TASKS {
        text += format!("\n  {} {}", task.name, task.arguments).trim_end();
        text.push('\n');
        for line in task.help.lines() {
            text += &format!("      {line}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_explained() {
        let help = help();
        for task in &TASKS {
            assert!(help.contains(&format!("\n  {}", task.name)), "{}", task.name);
            assert!(task.help.len() > 40, "{}", task.name);
        }
    }
}
