//! Joins the model crate to the training crate: a BERT classifier as training sees it.

use ferrotune_bert::{BertConfig, BertForSequenceClassification, Dropouts, Sequences};
use ferrotune_data::Batch;
use ferrotune_tensor::{Backend, Tape, Var};
use ferrotune_train::model::{Classifier, Mode};

/// A BERT classifier with the dropouts of its configuration.
pub struct BertClassifier<'a> {
    /// The network.
    pub model: &'a BertForSequenceClassification,
    /// Names the dropouts.
    pub config: &'a BertConfig,
}

impl<B: Backend> Classifier<B> for BertClassifier<'_> {
    fn logits(&self, tape: &mut Tape<'_, B>, batch: &Batch, mode: Mode) -> Var {
        let sequences = Sequences {
            ids: batch.ids.clone(),
            type_ids: batch.type_ids.clone(),
            positions: batch.positions.clone(),
            offsets: batch.offsets.as_slice().into(),
        };
        let dropouts = match mode {
            Mode::Training { seed, pass } => Dropouts::training(self.config, seed, pass),
            Mode::Evaluation => Dropouts::off(),
        };
        self.model.logits(tape, &sequences, &dropouts)
    }
}
