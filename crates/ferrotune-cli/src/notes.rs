//! `ferrotune.json`: what a model folder remembers beside the files of Hugging Face, the row length and the task's own notes.

use crate::args::LongTextsName;
use crate::exit::{Failure, MODEL, io};
use ferrotune_bert::{EncoderConfig, HeadKind};
use ferrotune_tensor::Backend;
use ferrotune_train::tasks::{Task, Unit, stored};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// The file's name.
const FILE: &str = "ferrotune.json";

/// What it holds.
#[derive(Serialize, Deserialize)]
pub struct Notes {
    /// Tokens of a row at most in training.
    pub max_length: Option<usize>,
    /// What training read of longer texts; their first tokens, where nothing is said.
    pub long_texts: Option<LongTextsName>,
    /// The task; models of other tools have none.
    pub task: Option<TaskNotes>,
}

/// The task as the folder remembers it.
#[derive(Serialize, Deserialize)]
pub struct TaskNotes {
    name: String,
    #[serde(flatten)]
    own: Map<String, Value>,
}

impl Notes {
    /// The notes of a run.
    pub fn of<B: Backend>(max_length: usize, long_texts: LongTextsName, task: &dyn Task<B>) -> Notes {
        let task = TaskNotes { name: task.name().to_string(), own: task.notes() };
        Notes { max_length: Some(max_length), long_texts: Some(long_texts), task: Some(task) }
    }

    /// Writes them into a model folder.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(FILE);
        let text = serde_json::to_string(self).expect("notes are plain values");
        std::fs::write(&path, format!("{text}\n")).map_err(io(path.display()))
    }

    /// Reads them. A folder without the file has no notes.
    ///
    /// # Errors
    /// The file is there and cannot be read or understood.
    pub fn read(folder: &Path) -> Result<Notes, Failure> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Notes { max_length: None, long_texts: None, task: None });
            }
            Err(error) => return Err(io(path.display())(error)),
        };
        serde_json::from_str(&text).map_err(|error| {
            let message = format!("{} is damaged: {error}; write the model again, or remove the file", path.display());
            Failure { message, code: MODEL }
        })
    }

    /// The task of the folder that these notes and this configuration are from, whose outputs have the names `labels`.
    ///
    /// # Errors
    /// A task that is not built here, or files that contradict each other.
    pub fn stored_task<B: Backend>(
        &self,
        folder: &Path,
        config: &EncoderConfig,
        labels: &[String],
    ) -> Result<Box<dyn Task<B>>, Failure> {
        let unit = match config.head_kind() {
            // A masked language model is asked for its labels before, and has none.
            HeadKind::Sequence | HeadKind::Vocabulary => Unit::Row,
            HeadKind::Tokens => Unit::Word,
        };
        let own = self.task.as_ref().map(|task| (task.name.as_str(), &task.own));
        stored(unit, config.problem_type.as_deref(), labels.to_vec(), own).map_err(|error| {
            let message =
                format!("{}: {error}; is it a model for classification of texts or of words?", folder.display());
            Failure { message, code: MODEL }
        })
    }
}
