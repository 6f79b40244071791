//! A fine-tuned folder as the worker sees it. It must not know requests.

use super::queue::Said;
use super::request::Kind;
use super::worker::Model;
use crate::args::LongTextsName;
use crate::device::Machine;
use crate::exit::{Failure, MODEL};
use crate::model::fine_tuned::{Cutter, FineTuned};
use ferrotune_data::{DataError, Encoded, Row, Tokenizer};
use ferrotune_train::evaluate::answers;
use ferrotune_train::tasks::Unit;
use rayon::prelude::*;
use serde_json::{Value, json};

/// The model and its tokenizer.
pub struct Served<'a, B: Machine> {
    backend: &'a B,
    model: FineTuned<B>,
    tokenizer: Tokenizer,
    long_texts: LongTextsName,
}

impl<'a, B: Machine> Served<'a, B> {
    /// Of a folder that was read; rows have at most so many tokens.
    ///
    /// # Errors
    /// Those of [`FineTuned::cutter`].
    pub fn of(backend: &'a B, model: FineTuned<B>, max_length: Option<usize>) -> Result<Served<'a, B>, Failure> {
        let Cutter { tokenizer, long_texts, .. } = model.cutter(max_length)?;
        // How long a text would have been is asked by nobody here.
        Ok(Served { backend, model, tokenizer: tokenizer.without_lengths(), long_texts })
    }

    /// What its rows are.
    pub fn kind(&self) -> Kind {
        match (self.model.task.unit(), self.model.notes.pair) {
            (Unit::Word, _) => Kind::Words,
            // Pairs are in no windows.
            (Unit::Row, None) if self.long_texts == LongTextsName::Windows => Kind::Text,
            (Unit::Row, None) => Kind::TextOrPair,
            (Unit::Row, Some(false)) => Kind::Text,
            (Unit::Row, Some(true)) => Kind::Pair,
        }
    }

    /// What it is, for a program.
    pub fn info(&self) -> Value {
        let FineTuned { loaded, notes, task, .. } = &self.model;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model_type": loaded.config.family.model_type,
            "task": task.name(),
            "labels": loaded.labels,
            "max_length": self.tokenizer.max_length(),
            "long_texts": self.long_texts,
            "precision": self.backend.precision(),
            "processor": self.backend.processor(),
            "calibration": notes.calibration,
            "row": self.kind().example(),
        })
    }

    /// What it is, for a person.
    pub fn lines(&self) -> [String; 2] {
        let FineTuned { folder, loaded, task, .. } = &self.model;
        [
            format!("model      {}: {}, {} labels", folder.display(), task.name(), loaded.labels.len()),
            format!("rows       {}, at most {} tokens", self.kind().example(), self.tokenizer.max_length()),
        ]
    }

    /// Tokens that a row may have, and one with windows may have more.
    pub fn max_length(&self) -> usize {
        self.tokenizer.max_length()
    }

    /// Asks it once, so that the first request finds all warm.
    ///
    /// # Errors
    /// It gives no answer.
    pub fn warm_up(&mut self) -> Result<(), Failure> {
        self.try_out().map_err(|message| Failure { message, code: MODEL })
    }
}

impl<B: Machine> Model for Served<'_, B> {
    fn encode(&self, rows: &[Row]) -> Vec<Result<Encoded, DataError>> {
        rows.par_iter().map(|row| self.tokenizer.encode_row(row)).collect()
    }

    fn answer(&mut self, rows: &[&Row], encoded: &Encoded) -> Result<Vec<Option<Said>>, String> {
        let scores = self.model.logits(self.backend, encoded).map_err(|failure| failure.message)?;
        let answers = answers(&scores, encoded, self.model.loaded.labels.len());
        let said = rows.iter().zip(answers).map(|(row, answer)| {
            let numbers = answer.logits.iter().all(|score| score.is_finite());
            numbers.then(|| self.model.predict(row, answer).json)
        });
        Ok(said.collect())
    }

    fn try_out(&mut self) -> Result<(), String> {
        let row = self.kind().trial();
        let encoded = self.tokenizer.encode_row(&row).map_err(|error| error.to_string())?;
        if self.answer(&[&row], &encoded)?.contains(&None) {
            let folder = self.model.folder.display();
            return Err(format!(
                "{folder}: the scores of a text are no numbers; the weights are damaged: fetch or train it again"
            ));
        }
        Ok(())
    }
}
