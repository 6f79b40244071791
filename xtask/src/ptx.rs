//! `cargo xtask ptx`: compiles the CUDA kernels where there is no GPU.
//!
//! It must not know a kernel: the test `ptx` of ferrotune-cuda names them. This task brings NVIDIA's compiler to it.

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, ci, process};

/// For `cargo xtask help`.
pub const HELP: &str = "\
Compiles all kernels of ferrotune-cuda to PTX and machine code for the supported devices, with NVIDIA's
libnvrtc, which pip puts under target/. Needs no GPU. PYTHON names another interpreter.";

/// The compiler: its package and version.
const PACKAGE: &str = "nvidia-cuda-nvrtc-cu12==12.9.86";

/// What the system's loader searches before its own folders.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// Runs the task.
pub fn run(_: &[String]) -> Outcome {
    let mut folders = vec![library()?];
    folders.extend(std::env::var_os(LIBRARIES).iter().flat_map(std::env::split_paths));
    let path = std::env::join_paths(folders).map_err(|error| format!("{LIBRARIES}: {error}"))?;
    let arguments =
        [&["test", "--workspace"][..], &ci::ALL_FEATURES, &["--test", "ptx", "--", "--include-ignored"]].concat();
    process::run(process::cargo(&arguments).env(LIBRARIES, path).current_dir(process::root()))
}

/// The folder of libnvrtc, installed if it is not there yet.
fn library() -> Result<PathBuf, String> {
    // A folder for each version, so that a change of it installs anew.
    let target = process::root().join("target").join(PACKAGE.replace("==", "-"));
    let folder = target.join("nvidia").join("cuda_nvrtc").join("lib");
    let file = folder.join("libnvrtc.so.12");
    if !file.is_file() {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"]);
        let code = process::run(command.arg("--target").arg(&target).arg(PACKAGE))?;
        if code != 0 || !file.is_file() {
            return Err(format!(
                "{PACKAGE} could not be installed by pip (exit code {code}): {} is missing",
                file.display()
            ));
        }
    }
    Ok(folder)
}
