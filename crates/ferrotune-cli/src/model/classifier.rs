//! Joins the model crate to the training crate: an encoder with its head as training sees it. It must not know files or settings.

use ferrotune_bert::{Dropouts, EncoderClassifier, EncoderConfig, HeadKind, Sequences};
use ferrotune_data::Batch;
use ferrotune_tensor::{Backend, ParamId, Tape, Var};
use ferrotune_train::model::{Classifier, FrozenPrefix, Mode};
use ferrotune_train::tasks::Unit;

/// A classifier with the dropouts of its configuration.
pub struct BertClassifier<'a> {
    /// The network.
    pub model: &'a EncoderClassifier,
    /// Names the dropouts.
    pub config: &'a EncoderConfig,
    /// Embeddings and so many layers are frozen; they run without dropout. `None`: the embeddings are trained.
    pub frozen_layers: Option<usize>,
}

impl BertClassifier<'_> {
    fn dropouts(&self, mode: Mode) -> Dropouts {
        match mode {
            Mode::Training { seed, step, first_token, first_row } => {
                Dropouts::training(self.config, seed, step).starting_at(first_token, first_row)
            }
            Mode::Evaluation => Dropouts::off(),
        }
    }
}

/// The head that gives scores to this.
pub fn head_kind(unit: Unit) -> HeadKind {
    match unit {
        Unit::Row => HeadKind::Sequence,
        Unit::Word => HeadKind::Tokens,
    }
}

fn sequences(batch: &Batch) -> Sequences {
    Sequences {
        ids: batch.ids.clone(),
        type_ids: batch.type_ids.clone(),
        positions: batch.positions.as_slice().into(),
        offsets: batch.offsets.as_slice().into(),
    }
}

impl<B: Backend> Classifier<B> for BertClassifier<'_> {
    fn logits(&self, tape: &mut Tape<'_, B>, batch: &Batch, mode: Mode) -> Var {
        match self.frozen_layers {
            Some(_) => {
                let hidden = FrozenPrefix::hidden(self, tape, batch);
                self.logits_from(tape, hidden, batch, mode)
            }
            None => {
                let (input, dropouts) = (sequences(batch), self.dropouts(mode));
                let hidden = self.model.prefix(tape, &input, &dropouts, 0);
                self.model.logits_at(tape, hidden, 0, &input, &dropouts, &batch.scored)
            }
        }
    }

    fn reads(&self, batch: &Batch) -> Vec<(ParamId, Vec<u32>)> {
        self.model.base.reads(&sequences(batch))
    }

    fn reads_whole_tables(&self) -> bool {
        self.model.kind() == HeadKind::Vocabulary
    }

    fn frozen_prefix(&self) -> Option<&dyn FrozenPrefix<B>> {
        self.frozen_layers.is_some().then_some(self)
    }
}

impl<B: Backend> FrozenPrefix<B> for BertClassifier<'_> {
    fn width(&self) -> usize {
        self.config.hidden_size
    }

    fn one_state_a_row(&self) -> bool {
        self.model.reads_one_state() && self.frozen_layers == Some(self.config.num_hidden_layers)
    }

    fn hidden(&self, tape: &mut Tape<'_, B>, batch: &Batch) -> Var {
        self.model.prefix(tape, &sequences(batch), &Dropouts::off(), self.frozen_layers.unwrap_or(0))
    }

    fn logits_from(&self, tape: &mut Tape<'_, B>, hidden: Var, batch: &Batch, mode: Mode) -> Var {
        let (layers, dropouts) = (self.frozen_layers.unwrap_or(0), self.dropouts(mode));
        self.model.logits_at(tape, hidden, layers, &sequences(batch), &dropouts, &batch.scored)
    }
}
