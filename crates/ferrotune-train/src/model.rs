//! What training asks of a model, and of data: logits for a ragged batch, encoded rows with targets. It must not know how the
//! model computes them.

use crate::tasks::Targets;
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, ParamId, Tape, Var};

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

    /// Whether the rest reads the first token of each row alone.
    fn first_token_only(&self) -> bool;

    /// `(tokens, width)`, or `(rows, width)` if only first tokens are read.
    fn hidden(&self, tape: &mut Tape<'_, B>, batch: &Batch) -> Var;

    /// Goes on from [`Self::hidden`] to the logits.
    fn logits_from(&self, tape: &mut Tape<'_, B>, hidden: Var, batch: &Batch, mode: Mode) -> Var;
}

/// Encoded rows and what a task wants to hear about them.
pub struct Split {
    /// The tokens.
    pub encoded: Encoded,
    /// What each row should be.
    pub targets: Targets,
}

impl Split {
    /// Number of rows; where words are scored, of the sequences that rows were cut into.
    pub fn rows(&self) -> usize {
        self.encoded.len()
    }
}
