//! The task of a model folder, from what its files say. Must not know the files.

use super::{SingleLabel, Task};
use ferrotune_data::{DataError, Labels};
use ferrotune_tensor::Backend;
use serde_json::{Map, Value};

/// Files of a model folder that say no task, or contradict each other.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message above each variant says what its fields are")]
pub enum StoredTaskError {
    #[error("its problem_type is {0:?}, which ferrotune does not know; known are single_label_classification")]
    UnknownProblem(String),
    #[error("its task is {name:?} and its problem_type {problem:?}; they do not go together")]
    Contradiction { name: String, problem: String },
    #[error("{0}")]
    Labels(#[from] DataError),
}

/// The task of a folder whose config.json says `problem_type`, whose outputs have the names `labels`, and beside which [`Task::notes`]
/// were kept. Folders of other tools have no notes.
///
/// # Errors
/// Nothing that is built here, or notes of another task.
pub fn stored<B: Backend>(
    problem_type: Option<&str>,
    labels: Vec<String>,
    notes: Option<(&str, &Map<String, Value>)>,
) -> Result<Box<dyn Task<B>>, StoredTaskError> {
    let labels = Labels::from_names(labels)?;
    let problem = problem_type.unwrap_or("single_label_classification");
    let task: Box<dyn Task<B>> = match problem {
        "single_label_classification" => Box::new(SingleLabel::new(labels)),
        _ => return Err(StoredTaskError::UnknownProblem(problem.to_string())),
    };
    match notes {
        Some((name, _)) if name != task.name() => {
            Err(StoredTaskError::Contradiction { name: name.to_string(), problem: problem.to_string() })
        }
        _ => Ok(task),
    }
}
