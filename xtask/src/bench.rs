//! `cargo xtask bench`: the criterion benches, and with `peers` ferrotune beside its opponents.
//!
//! It must not time anything itself.

use std::path::{Path, PathBuf};
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
    let target = target_folder(&std::env::current_exe().map_err(|error| error.to_string())?)?;
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

/// The target folder, from the path of this program in it.
fn target_folder(program: &Path) -> Result<PathBuf, String> {
    let folder = program.parent().and_then(Path::parent);
    folder.map(Path::to_owned).ok_or_else(|| format!("{} does not lie in a target folder", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_above_the_profile() {
        assert_eq!(target_folder(Path::new("/x/target/debug/xtask")), Ok(PathBuf::from("/x/target")));
        assert!(target_folder(Path::new("xtask")).is_err());
    }

    #[test]
    fn the_script_is_there() {
        assert!(process::root().join(PEERS).is_file());
    }
}
