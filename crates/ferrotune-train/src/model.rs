//! What training asks of a model, and of data: logits for a ragged batch, encoded rows with targets. It must not know how the
//! model computes them.

use crate::tasks::Targets;
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, ParamId, Tape, Var};
use std::borrow::Cow;

/// Why a forward pass runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Training: dropout is on. Its masks are a pure function of the seed, of the optimizer step and of each element's place in the
    /// step's batch, however that is cut into passes.
    Training {
        /// The run's seed.
        seed: u64,
        /// The optimizer step, from 0.
        step: u64,
        /// Tokens of the step's batch before this pass.
        first_token: usize,
        /// Rows of the step's batch before this pass.
        first_row: usize,
    },
    /// Evaluation and prediction: dropout is off.
    Evaluation,
}

/// A model that gives each sequence of a batch, or each scored word, one number for each output of the task.
pub trait Classifier<B: Backend> {
    /// Logits `(rows, outputs)`; of a model of words `(words, outputs)`, one row for each of [`Batch::scored`].
    fn logits(&self, tape: &mut Tape<'_, B>, batch: &Batch, mode: Mode) -> Var;

    /// The rows of trained tables (embeddings) that a forward pass of this batch reads: all of them, in any order, repeats allowed. An
    /// optimizer may put off updates of the others.
    fn reads(&self, batch: &Batch) -> Vec<(ParamId, Vec<u32>)>;

    /// Whether a pass reads all rows of such a table too, as a head does whose weight the word embeddings are: then all rows get a gradient
    /// in every step, and no update may be put off.
    fn reads_whole_tables(&self) -> bool {
        false
    }

    /// The bottom of the model, if no trained parameter is part of it.
    fn frozen_prefix(&self) -> Option<&dyn FrozenPrefix<B>> {
        None
    }
}

/// The bottom of a model whose parameters are all frozen. It runs without dropout, in training too, so what it gives for a row never
/// changes; a row has the same bits alone and in any batch. `logits_from` of `hidden` is [`Classifier::logits`].
pub trait FrozenPrefix<B: Backend> {
    /// Numbers for a position.
    fn width(&self) -> usize;

    /// Whether the rest reads one state of each row, such as that of its first token.
    fn one_state_a_row(&self) -> bool;

    /// `(tokens, width)`, or `(rows, width)` if one state of each row is read.
    fn hidden(&self, tape: &mut Tape<'_, B>, batch: &Batch) -> Var;

    /// Goes on from [`Self::hidden`] to the logits.
    fn logits_from(&self, tape: &mut Tape<'_, B>, hidden: Var, batch: &Batch, mode: Mode) -> Var;
}

/// Encoded rows and what a task wants to hear about them.
pub struct Split {
    /// The tokens.
    pub encoded: Encoded,
    /// What each row should be, and each window where texts were cut into windows.
    pub targets: Targets,
}

impl Split {
    /// Of the targets of the rows of a table: every window of a text has the text's own.
    pub fn of_rows(encoded: Encoded, targets: Targets) -> Split {
        let targets = if encoded.windows.is_empty() { targets } else { targets.select(&encoded.windows) };
        Split { encoded, targets }
    }

    /// What each row of the table should be.
    pub fn row_targets(&self) -> Cow<'_, Targets> {
        if self.encoded.windows.is_empty() {
            return Cow::Borrowed(&self.targets);
        }
        let firsts: Vec<usize> = self.encoded.window_groups().map(|windows| windows.start).collect();
        Cow::Owned(self.targets.select(&firsts))
    }

    /// Number of rows; where words are scored, and where texts were cut into windows, of the sequences that rows were cut into.
    pub fn rows(&self) -> usize {
        self.encoded.len()
    }
}
