//! Everything that can go wrong in training because of the outside world, with the exit code the binary uses for it.
//! Mistakes of the calling programmer panic instead and have no variant here. It must not end the program.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::fingerprint::Difference;

/// An error of the training crate. Each message is one line: what was wrong, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The operating system refused a file operation.
    #[error("could not {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried, a verb phrase such as `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path inside the run folder is a symbolic link, which would let files land outside it.
    #[error("{} is a symbolic link; replace it by a real file or folder, or choose another output folder", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A committed checkpoint is incomplete or its bytes changed.
    #[error("checkpoint file {} is damaged: {what}; restore it from a copy, or remove this run's folder to begin it anew", path.display())]
    CheckpointDamaged {
        /// The damaged file.
        path: PathBuf,
        /// How it differs from what was committed.
        what: String,
    },
    /// A checkpoint was written in a layout this program does not read.
    #[error("checkpoint {} has format version {found}; this program reads version {supported}; use the ferrotune that wrote it", path.display())]
    CheckpointVersion {
        /// The manifest.
        path: PathBuf,
        /// The version it names.
        found: u64,
        /// The version this program reads.
        supported: u64,
    },
    /// A line of a study file does not follow from those before it.
    #[error("{} is damaged, line {line}: {what}; take this line and those after it out to go on from there, or begin a new study", path.display())]
    StudyDamaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A checkpoint is to be read, and there is none.
    #[error("no checkpoint in {}: the run ended before it saved one; begin it anew (--overwrite, for a run of its own)", directory.display())]
    NoCheckpoint {
        /// The folder that was searched.
        directory: PathBuf,
    },
    /// A checkpoint is to be saved below one that is already there, which belongs to another history of the run.
    #[error("{} already holds a checkpoint of step {newest}, but step {step} is to be saved; resume from it, or use an empty output folder", directory.display())]
    CheckpointAhead {
        /// The checkpoint folder.
        directory: PathBuf,
        /// The step to save.
        step: u64,
        /// The newest step that is there.
        newest: u64,
    },
    /// Settings or data differ from those the checkpoint was trained with.
    #[error(
        "cannot resume, the run is not the one that was saved: {}; restore these values, or start a new run",
        list(differences)
    )]
    ResumeMismatch {
        /// Every differing key, in the order of the keys.
        differences: Vec<Difference>,
    },
    /// Another process is training in this folder.
    #[error("{} is in use by {holder}; wait for it, stop it, or use another output folder", directory.display())]
    Locked {
        /// The run folder.
        directory: PathBuf,
        /// Who holds it, as far as the lock file tells.
        holder: String,
    },
    /// Gradient coverage: parameters that are to be trained and that the backward pass did not reach.
    #[error("no gradient reached {}; these parameters would never learn: this is a defect of the model, or they belong to a part that nothing reads and should be frozen", parameters.join(", "))]
    NoGradient {
        /// Their names.
        parameters: Vec<String>,
    },
    /// A number that steers training became NaN or infinite.
    #[error(
        "{what} is {value} at step {step} (learning rate {learning_rate:e}); weights were not updated; lower the learning rate, clip gradients, or check the data of this step"
    )]
    NotFinite {
        /// Which number: the loss, the gradient norm, a tensor's name.
        what: String,
        /// The value.
        value: f64,
        /// Optimizer step, counted from 1 as in events.
        step: u64,
        /// Learning rate of that step.
        learning_rate: f64,
    },
}

impl TrainError {
    /// A maker of [`TrainError::Io`] for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TrainError {
        let path = path.to_path_buf();
        move |source| TrainError::Io { action, path, source }
    }

    /// The exit code of the binary: 4 a model that cannot learn, 5 input/output, 6 not a number, 7 locked by another run, 8 cannot resume.
    pub fn exit_code(&self) -> u8 {
        match self {
            TrainError::Io { .. } | TrainError::Symlink { .. } => 5,
            TrainError::NotFinite { .. } => 6,
            TrainError::NoGradient { .. } => 4,
            TrainError::Locked { .. } => 7,
            TrainError::StudyDamaged { .. }
            | TrainError::CheckpointDamaged { .. }
            | TrainError::CheckpointVersion { .. }
            | TrainError::NoCheckpoint { .. }
            | TrainError::CheckpointAhead { .. }
            | TrainError::ResumeMismatch { .. } => 8,
        }
    }
}

/// What to do about the failures a user can mend.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space or use another disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "; make the output folder writable",
        _ => "",
    }
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_and_codes_are_those_of_the_design() {
        let path = PathBuf::from("run/checkpoints");
        let difference = Difference { key: "seed".into(), saved: Some("1".into()), now: None };
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let cases = [
            (TrainError::Io { action: "write", path: path.clone(), source: full }, 5, "free some space"),
            (TrainError::Symlink { path: path.clone() }, 5, "symbolic link"),
            (
                TrainError::NotFinite { what: "loss".into(), value: f64::NAN, step: 3, learning_rate: 2e-5 },
                6,
                "loss is NaN at step 3 (learning rate 2e-5)",
            ),
            (TrainError::Locked { directory: path.clone(), holder: "process 7".into() }, 7, "process 7"),
            (
                TrainError::CheckpointDamaged { path: path.clone(), what: "sha256 differs".into() },
                8,
                "sha256 differs; restore it from a copy, or remove this run's folder to begin it anew",
            ),
            (TrainError::CheckpointVersion { path: path.clone(), found: 2, supported: 1 }, 8, "version 2"),
            (
                TrainError::NoCheckpoint { directory: path.clone() },
                8,
                "no checkpoint in run/checkpoints: the run ended before it saved one; begin it anew (--overwrite, for a run of its own)",
            ),
            (TrainError::CheckpointAhead { directory: path, step: 3, newest: 9 }, 8, "step 9"),
            (TrainError::ResumeMismatch { differences: vec![difference] }, 8, "seed was \"1\", now absent"),
        ];
        for (error, code, part) in cases {
            let message = error.to_string();
            assert_eq!(error.exit_code(), code, "{message}");
            assert!(message.contains(part), "{message:?} lacks {part:?}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }
}
