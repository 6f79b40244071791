//! A fine-tuned model folder as commands use it: weights, task, notes and tokenizer as training left them. It must not know what is asked of it.

use crate::args::LongTextsName;
use crate::device::Machine;
use crate::device::threads::on_pool;
use crate::exit::{DATA, Failure};
use crate::model::calibrated::mark;
use crate::model::classifier::BertClassifier;
use crate::model::find::max_length;
use crate::model::notes::{NamedColumns, Notes};
use crate::rows::data::check_vocabulary;
use crate::terminal::shown::listed;
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_data::{Encoded, Row, Tokenizer, Wanted};
use ferrotune_tensor::Pool;
use ferrotune_train::evaluate::logits;
use ferrotune_train::tasks::{Answer, Prediction, Task, Unit};
use std::fmt::Display;
use std::path::PathBuf;

/// A model, and what its folder remembers.
pub struct FineTuned<B: Machine> {
    /// The folder.
    pub folder: PathBuf,
    /// Its weights.
    pub loaded: Pretrained<B>,
    /// `ferrotune.json`.
    pub notes: Notes,
    /// What it learned.
    pub task: Box<dyn Task<B>>,
    pool: Pool<B>,
}

/// How it cuts texts into tokens.
pub struct Cutter {
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Tokens of a row at most.
    pub limit: usize,
    /// What is read of longer texts.
    pub long_texts: LongTextsName,
}

impl<B: Machine> FineTuned<B> {
    /// Reads the folder.
    ///
    /// # Errors
    /// Files that cannot be read, are no fine-tuned model, or contradict each other.
    pub fn read(backend: &B, folder: PathBuf) -> Result<FineTuned<B>, Failure> {
        let loaded = pretrained::load(backend, &folder, Head::Stored)?;
        let notes = Notes::read(&folder)?;
        let task = notes.stored_task::<B>(&folder, &loaded.config, &loaded.labels)?;
        Ok(FineTuned { folder, loaded, notes, task, pool: Pool::new(backend.clone()) })
    }

    /// Its tokenizer, for rows of as many tokens as asked, else as in training.
    ///
    /// # Errors
    /// A tokenizer that cannot be read or is another model's; a length that the model does not read.
    pub fn cutter(&self, asked: Option<usize>) -> Result<Cutter, Failure> {
        let config = &self.loaded.config;
        let limit = max_length(asked, self.notes.max_length, config.longest_sequence())?;
        let long_texts = self.notes.long_texts.unwrap_or(LongTextsName::Head);
        let tokenizer = Tokenizer::from_folder(&self.folder, limit)?.with_long_texts(long_texts.into());
        check_vocabulary(&tokenizer, config, &self.folder)?;
        let words = self.task.unit() == Unit::Word;
        let doubts = words.then(|| tokenizer.doubtful_words(&self.folder)).flatten();
        let lines = tokenizer.contradictions(&self.folder, words).into_iter().chain(doubts);
        lines.for_each(|line| eprintln!("warning: {line}"));
        Ok(Cutter { tokenizer, limit, long_texts })
    }

    /// The columns to read of rows: what is said, and of what is not said the names that it was trained with; the label only if it is `labelled`. Says it
    /// where it was not told.
    pub fn columns(&self, said: Option<Wanted>, labelled: bool) -> Option<Wanted> {
        let NamedColumns { text, text_b, label } = self.notes.columns.clone().unwrap_or_default();
        let mut wanted = said.unwrap_or_default();
        let (own_texts, own_label) = (wanted.text.is_none() && text.is_some(), wanted.label.is_none() && labelled);
        if own_texts {
            // A second text belongs to the first.
            (wanted.text, wanted.text_b) = (text, text_b);
        }
        let mut own: Vec<String> =
            [&wanted.text, &wanted.text_b].into_iter().filter(|_| own_texts).flatten().cloned().collect();
        if let (true, Some(label)) = (own_label, label) {
            own.push(label.clone());
            wanted.label = Some(label);
        }
        if !own.is_empty() {
            eprintln!("columns    {}, as in training", listed(&own));
        }
        (wanted != Wanted::default()).then_some(wanted)
    }

    /// Whether rows are pairs of texts if and only if those were that it learned from.
    ///
    /// # Errors
    /// They are not: a text that is missing, or one that would be left out.
    pub fn check_pair(&self, pair: bool, file: impl Display) -> Result<(), Failure> {
        let (own, other, flags) = match self.notes.pair {
            Some(own) if own == pair => return Ok(()),
            Some(true) => {
                ("pairs of texts", "single texts", "name both columns with --text-column and --text-b-column")
            }
            Some(false) => ("single texts", "pairs of texts", "name the one column with --text-column"),
            None => return Ok(()),
        };
        let message = format!("{} was trained on {own}, and {file} has {other}: {flags}", self.folder.display());
        Err(Failure { message, code: DATA })
    }

    /// What its answer to a row says, and whether it abstains where it was told when to.
    pub fn predict(&self, row: &Row, answer: Answer<'_>) -> Prediction {
        let mut prediction = self.task.predict(row, answer);
        let abstention = self.notes.calibration.as_ref().and_then(|calibration| calibration.abstention);
        abstention.iter().for_each(|abstention| mark(&mut prediction, abstention));
        prediction
    }

    /// Its logits, `(rows, labels)` or `(scored words, labels)`.
    ///
    /// # Errors
    /// Those of [`logits`].
    pub fn logits(&mut self, backend: &B, encoded: &Encoded) -> Result<Vec<f32>, Failure> {
        let Pretrained { model, config, params, .. } = &self.loaded;
        let (classifier, pool) = (BertClassifier { model, config, frozen_layers: None }, &mut self.pool);
        Ok(on_pool(|| logits(backend, &classifier, params, pool, encoded, None))?)
    }
}
