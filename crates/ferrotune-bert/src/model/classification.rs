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

    /// Runs the model on a ragged batch and keeps every hidden state: for looking inside. Training and prediction need
    /// [`Self::logits`] only, which costs less.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Outputs {
        let hidden = self.bert.forward(tape, input, dropouts);
        let first = ops::GatherRows { rows: input.first_tokens() };
        let first = tape.apply(first, &[hidden[hidden.len() - 1]]);
        let pooled = self.bert.pooler.forward(tape, first);
        let logits = self.classify(tape, pooled, dropouts);
        Outputs { hidden, pooled, logits }
    }

    /// Scores `(b, classes)` of a ragged batch, with the bits of [`Self::forward`]. Computes only what the scores depend on: of the
    /// last layer, keys and values of all tokens, and the rest for the first token of each sequence.
    pub fn logits<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Var {
        let hidden = self.prefix(tape, input, dropouts, 0);
        self.logits_from(tape, hidden, 0, input, dropouts)
    }

    /// The hidden state after the embeddings and the first `layers` layers: `(t, hidden)`, or after all layers `(b, hidden)`, the first
    /// token of each sequence, because nothing reads the others.
    ///
    /// # Panics
    /// If there are fewer layers.
    pub fn prefix<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        input: &Sequences,
        dropouts: &Dropouts,
        layers: usize,
    ) -> Var {
        let embedded = tape.scope(|tape| self.bert.embeddings.forward(tape, input, dropouts));
        if layers == self.bert.encoder.layer.len() {
            return self.bert.encoder.forward_to_first(tape, embedded, 0, &input.offsets, dropouts);
        }
        self.bert.encoder.forward_layers(tape, embedded, 0..layers, &input.offsets, dropouts)
    }

    /// Goes on from [`Self::prefix`] to the scores `(b, classes)`.
    ///
    /// # Panics
    /// If there are fewer layers.
    pub fn logits_from<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        hidden: Var,
        layers: usize,
        input: &Sequences,
        dropouts: &Dropouts,
    ) -> Var {
        let all = layers == self.bert.encoder.layer.len();
        let rest = |tape: &mut _| self.bert.encoder.forward_to_first(tape, hidden, layers, &input.offsets, dropouts);
        let first = if all { hidden } else { rest(tape) };
        let pooled = self.bert.pooler.forward(tape, first);
        self.classify(tape, pooled, dropouts)
    }

    /// Dropout and the linear layer on top of the pooler's output.
    fn classify<B: Backend>(&self, tape: &mut Tape<'_, B>, pooled: Var, dropouts: &Dropouts) -> Var {
        let mask = dropouts.mask(Site::Classifier, 0);
        let dropped = if mask.is_none() { pooled } else { tape.apply(ops::Dropout { mask }, &[pooled]) };
        self.classifier.forward(tape, dropped)
    }
}
