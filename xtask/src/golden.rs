//! `cargo xtask golden`: writes the golden fixtures anew from PyTorch and transformers.
//!
//! It must not write a fixture itself; the generator is `tests/golden/generate.py`.

use std::process::{Command, Stdio};

use crate::{Outcome, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Runs `python3 tests/golden/generate.py ARGS` in the root. PYTHON names another interpreter. Only needed to
change a fixture: the tests read what is committed.";

/// What the generator imports.
const MODULES: &str = "torch, transformers, tokenizers, safetensors, numpy";

/// Runs the task.
pub fn run(arguments: &[String]) -> Outcome {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut probe = Command::new(&python);
    let probe = probe.args(["-c", &format!("import {MODULES}")]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match probe {
        Err(error) => return Err(format!("{python} does not start ({error}): install Python 3 or set PYTHON")),
        Ok(status) if !status.success() => {
            return Err(format!("{python} lacks one of {MODULES}: install them with pip, or set PYTHON"));
        }
        Ok(_) => (),
    }
    process::run(Command::new(python).arg("tests/golden/generate.py").args(arguments).current_dir(process::root()))
}
