//! `ferrotune.json`: what a model folder remembers beside the files of Hugging Face, the row length, the task's own notes and
//! how its probabilities are calibrated. It must not know rows.

use crate::args::{LongTextsName, TrainSettings};
use crate::exit::{Failure, MODEL, io};
use crate::model::calibrated::Calibration;
use crate::run::staged::Staged;
use ferrotune_bert::{EncoderConfig, HeadKind};
use ferrotune_tensor::Backend;
use ferrotune_train::tasks::{Task, Unit, stored};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The file's name.
const FILE: &str = "ferrotune.json";

/// What it holds.
#[derive(Default, Serialize, Deserialize)]
pub struct Notes {
    /// Tokens of a row at most in training.
    pub max_length: Option<usize>,
    /// What training read of longer texts; their first tokens, where nothing is said.
    pub long_texts: Option<LongTextsName>,
    /// Whether its rows were pairs of texts; models of other tools and of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<bool>,
    /// The columns that a person named for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<NamedColumns>,
    /// The task; models of other tools have none.
    pub task: Option<TaskNotes>,
    /// The temperature of its probabilities, and when it abstains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// Columns that were named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedColumns {
    /// The text, the first text of a pair, or the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_b: Option<String>,
    /// The label, the score, or the tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl NamedColumns {
    /// Those that settings name, if they name any.
    pub fn of(settings: &TrainSettings) -> Option<NamedColumns> {
        let TrainSettings { text_column, text_b_column, label_column, .. } = settings.clone();
        let named = NamedColumns { text: text_column, text_b: text_b_column, label: label_column };
        (named != NamedColumns::default()).then_some(named)
    }
}

/// The task as the folder remembers it.
#[derive(Serialize, Deserialize)]
pub struct TaskNotes {
    name: String,
    #[serde(flatten)]
    own: Map<String, Value>,
}

impl Notes {
    /// Where they lie in a model folder.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// The notes of a run.
    pub fn of<B: Backend>(max_length: usize, long_texts: LongTextsName, pair: bool, task: &dyn Task<B>) -> Notes {
        let task = TaskNotes { name: task.name().to_string(), own: task.notes() };
        Notes {
            max_length: Some(max_length),
            long_texts: Some(long_texts),
            pair: Some(pair),
            columns: None,
            task: Some(task),
            calibration: None,
        }
    }

    /// Writes them into a model folder: a reader has the old notes or the new ones.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string(self).expect("notes are plain values");
        let mut staged = Staged::default();
        staged.add(&Notes::file(folder), |file| writeln!(file, "{text}"))?;
        staged.name()
    }

    /// Reads them. A folder without the file has no notes.
    ///
    /// # Errors
    /// The file is there and cannot be read or understood.
    pub fn read(folder: &Path) -> Result<Notes, Failure> {
        let path = Notes::file(folder);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Notes::default());
            }
            Err(error) => return Err(io(path.display())(error)),
        };
        let notes: Notes = serde_json::from_str(&text).map_err(|error| {
            let message = format!("{} is damaged: {error}; write the model again, or remove the file", path.display());
            Failure { message, code: MODEL }
        })?;
        notes.calibration.iter().try_for_each(|calibration| calibration.check(&path))?;
        Ok(notes)
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
        let mut task: Box<dyn Task<B>> =
            stored(unit, config.problem_type.as_deref(), labels.to_vec(), own).map_err(|error| {
                let message =
                    format!("{}: {error}; is it a model for classification of texts or of words?", folder.display());
                Failure { message, code: MODEL }
            })?;
        if let Some(calibration) = &self.calibration {
            let name = task.name();
            let temperature = task.temperature().ok_or_else(|| {
                let file = Notes::file(folder);
                let message =
                    format!("{} is damaged: `calibration` belongs to no model of the task {name}", file.display());
                Failure { message, code: MODEL }
            })?;
            *temperature = calibration.temperature;
        }
        Ok(task)
    }
}
