//! BERT with a head that gives each sequence one score per class.

use super::dropouts::Site;
use super::{Bert, Dropouts, Linear, Sequences};
use crate::config::BertConfig;
use ferrotune_tensor::{Backend, Layout, Tape, Var, ops};

/// `BertForSequenceClassification` of transformers: pooled first token, dropout, linear.
pub struct BertForSequenceClassification {
    /// `bert`
    pub bert: Bert,
    /// `classifier (classes, hidden)`
    pub classifier: Linear,
}

/// What a forward pass computed.
pub struct Outputs {
    /// `(t, hidden)` each: the embeddings' output, then each layer's.
    pub hidden: Vec<Var>,
    /// `(b, hidden)`: the pooler's output.
    pub pooled: Var,
    /// `(b, classes)`.
    pub logits: Var,
}

impl BertForSequenceClassification {
    /// Declares all parameters under their checkpoint names. Nothing is allocated for them.
    pub fn new(config: &BertConfig, classes: usize) -> (BertForSequenceClassification, Layout) {
        let mut layout = Layout::new();
        let bert = Bert::new(config, layout.root().enter("bert"));
        let classifier =
            Linear::new(layout.root().enter("classifier"), config.hidden_size, classes, config.initializer_range);
        (BertForSequenceClassification { bert, classifier }, layout)
    }

    /// Runs the model on a ragged batch.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Outputs {
        let hidden = self.bert.forward(tape, input, dropouts);
        let pooled = self.bert.pooler.forward(tape, hidden[hidden.len() - 1], input.first_tokens());
        let mask = dropouts.mask(Site::Classifier, 0);
        let dropped = if mask.is_none() { pooled } else { tape.apply(ops::Dropout { mask }, &[pooled]) };
        let logits = self.classifier.forward(tape, dropped);
        Outputs { hidden, pooled, logits }
    }
}
