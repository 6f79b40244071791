//! `cargo xtask bench`: the criterion benches, and with `peers` ferrotune beside its opponents.
//!
//! It must not time anything itself.

use std::process::{Command, Stdio};

use crate::{Outcome, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Runs `cargo bench -p ferrotune-benches ARGS`, for example `cargo xtask bench -- matmul` for some of them.
`cargo xtask bench peers ARGS` runs PyTorch, ONNX Runtime and candle in turn with ferrotune instead and prints one
table of ratios; `peers --help` lists its arguments, benches/peers/README.md says what is measured. The
opponents are installed below target/peers. PYTHON names another interpreter.";

/// Below the root.
const PEERS: &str = "benches/peers/run.py";

/// Runs the task.
pub fn run(arguments: &[String]) -> Outcome {
    match arguments.split_first() {
        Some((name, rest)) if name == "peers" => peers(rest),
        _ => process::run(process::cargo(&["bench", "-p", "ferrotune-benches"]).args(arguments)),
    }
}

/// Builds ferrotune's side and hands over to the script.
fn peers(arguments: &[String]) -> Outcome {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return Err(format!("{python} does not run: install Python 3 or set PYTHON"));
    }
    let target = process::target_folder()?;
    // Apart, because one build would give the command line the features of the benches.
    for what in [["-p", "ferrotune-cli", "--bin", "ferrotune"], ["-p", "ferrotune-benches", "--example", "inference"]] {
        let mut build = process::cargo(&["build", "--release", "--target-dir"]);
        let code = process::run(build.arg(&target).args(what).current_dir(process::root()))?;
        if code != 0 {
            return Ok(code);
        }
    }
    let mut script = Command::new(python);
    // Paths that a person types are relative to where they stand.
    script.arg("-B").arg(process::root().join(PEERS)).arg("--binaries").arg(target.join("release")).args(arguments);
    process::run(&mut script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_there() {
        assert!(process::root().join(PEERS).is_file());
    }
}
