//! Starting other programs: shown before they run, their output left alone, their exit code passed on.
//!
//! It must not know any task.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::Outcome;

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The target folder that this program lies in, wherever it was told to be.
///
/// # Errors
/// It lies in none.
pub fn target_folder() -> Result<PathBuf, String> {
    target_of(&std::env::current_exe().map_err(|error| error.to_string())?)
}

/// The target folder, from the path of this program in it.
fn target_of(program: &Path) -> Result<PathBuf, String> {
    let folder = program.parent().and_then(Path::parent);
    folder.map(Path::to_owned).ok_or_else(|| format!("{} does not lie in a target folder", program.display()))
}

/// The cargo that runs this task, with arguments.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Prints the command, runs it, and gives its exit code.
pub fn run(command: &mut Command) -> Outcome {
    println!("$ {}", shown(command));
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{program} does not start: {error}"))?;
    Ok(code(status))
}

/// Prints the command, runs it, and gives what it printed, trimmed; its standard error is left alone.
///
/// # Errors
/// A sentence, if it does not start or fails.
pub fn output(command: &mut Command) -> Result<String, String> {
    println!("$ {}", shown(command));
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("it does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("it failed with exit code {}", code(output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A command line that a person can paste.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy()))))
        .collect();
    words.push(program);
    words.extend(command.get_args().map(|argument| quoted(&argument.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The exit code; a program that a signal ended counts as failed.
fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_pasted() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["doc", "a b", "it's", ""]).env("FLAGS", "-D warnings").env_remove("GONE");
        assert_eq!(shown(&command), r"FLAGS='-D warnings' cargo doc 'a b' 'it'\''s' ''");
    }

    #[test]
    fn the_target_folder_is_above_the_profile() {
        assert_eq!(target_of(Path::new("/x/target/debug/xtask")), Ok(PathBuf::from("/x/target")));
        assert!(target_of(Path::new("xtask")).is_err());
    }

    #[test]
    fn the_root_is_the_workspace() {
        assert!(root().join("xtask").join("Cargo.toml").is_file());
    }
}
