//! An encoder with a head that gives each sequence, or each token, one score per class, or each token one per word of the vocabulary.

use super::heads::{HeadKind, SequenceHead, TokenHead, VocabularyHead};
use super::{Base, Dropouts, Sequences};
use crate::config::{EncoderConfig, Pooling};
use ferrotune_tensor::{Backend, Layout, Tape, Var, ops};

/// The head of an [`EncoderClassifier`].
pub enum Head {
    /// Scores for sequences.
    Sequence(SequenceHead),
    /// Scores for tokens.
    Tokens(TokenHead),
    /// Scores of all words for tokens.
    Vocabulary(VocabularyHead),
}

/// `BertForSequenceClassification`, `RobertaForTokenClassification` and their like in transformers.
pub struct EncoderClassifier {
    /// `bert`, or what the family calls it.
    pub base: Base,
    /// The layers on top.
    pub head: Head,
    pooling: Pooling,
}

/// What a forward pass computed.
pub struct Outputs {
    /// `(t, hidden)` each: what the first layer reads, then each layer's output, the last one after the layer norm that may follow.
    pub hidden: Vec<Var>,
    /// `(b, hidden)`: what the head made of the sequences' states, in heads on sequences.
    pub pooled: Option<Var>,
    /// `(b, classes)`, or `(t, classes)` if tokens are scored.
    pub logits: Var,
}

impl EncoderClassifier {
    /// Declares all parameters of a classifier of sequences under their checkpoint names. Nothing is allocated for them.
    pub fn new(config: &EncoderConfig, classes: usize) -> (EncoderClassifier, Layout) {
        EncoderClassifier::with_head(config, HeadKind::Sequence, classes)
    }

    /// [`Self::new`], with the head of your choice. A head over the vocabulary has its words for classes, whatever `classes` says.
    ///
    /// # Panics
    /// If the family has no such head.
    pub fn with_head(config: &EncoderConfig, kind: HeadKind, classes: usize) -> (EncoderClassifier, Layout) {
        let mut layout = Layout::new();
        let base = Base::new(config, layout.root().enter(config.family.base));
        let head = match kind {
            HeadKind::Sequence => Head::Sequence(SequenceHead::new(config, &mut layout, classes)),
            HeadKind::Tokens => Head::Tokens(TokenHead::new(config, &mut layout, classes)),
            HeadKind::Vocabulary => Head::Vocabulary(VocabularyHead::new(config, &mut layout)),
        };
        (EncoderClassifier { base, head, pooling: config.pooling }, layout)
    }

    /// What the head gives scores to.
    pub fn kind(&self) -> HeadKind {
        match self.head {
            Head::Sequence(_) => HeadKind::Sequence,
            Head::Tokens(_) => HeadKind::Tokens,
            Head::Vocabulary(_) => HeadKind::Vocabulary,
        }
    }

    /// Whether the head reads one state of each sequence, that of its first token or the mean of all.
    pub fn reads_one_state(&self) -> bool {
        self.kind() == HeadKind::Sequence
    }

    /// Runs the model on a ragged batch and keeps every hidden state: for looking inside. Training and prediction need
    /// [`Self::logits`] only, which costs less.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Outputs {
        let hidden = self.base.forward(tape, input, dropouts);
        let last = hidden[hidden.len() - 1];
        match &self.head {
            Head::Sequence(head) => {
                let state = match self.pooling {
                    Pooling::FirstToken => tape.apply(ops::GatherRows { rows: input.first_tokens() }, &[last]),
                    Pooling::Mean => means(tape, last, input),
                };
                let pooled = head.pool(tape, state, dropouts);
                Outputs { hidden, pooled: Some(pooled), logits: head.score(tape, pooled, dropouts) }
            }
            Head::Tokens(head) => Outputs { hidden, pooled: None, logits: head.score(tape, last, dropouts) },
            Head::Vocabulary(head) => {
                let logits = head.score(tape, last, self.base.embeddings.word_embeddings);
                Outputs { hidden, pooled: None, logits }
            }
        }
    }

    /// Scores `(b, classes)` or `(t, classes)` of a ragged batch, with the bits of [`Self::forward`]. Computes only what the scores depend
    /// on: if the head reads first tokens, the last layer computes for all tokens what attention needs, and the rest for these alone.
    pub fn logits<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Var {
        let hidden = self.prefix(tape, input, dropouts, 0);
        self.logits_from(tape, hidden, 0, input, dropouts)
    }

    /// The hidden state after the embeddings and the first `layers` layers: `(t, hidden)`; or after all layers and the layer norm that may follow, if
    /// the head [reads one state](Self::reads_one_state) of each sequence, these, `(b, hidden)`, because nothing reads more.
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
        let embedded = self.base.embed(tape, input, dropouts);
        if layers == self.base.encoder.layer.len() && self.reads_one_state() {
            return self.state_from(tape, embedded, 0, input, dropouts);
        }
        self.base.encoder.forward_layers(tape, embedded, 0..layers, input, dropouts)
    }

    /// From the output of the first `layers` layers, fewer than there are, to the state of each sequence that the head reads, `(b, hidden)`.
    fn state_from<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        hidden: Var,
        layers: usize,
        input: &Sequences,
        dropouts: &Dropouts,
    ) -> Var {
        let encoder = &self.base.encoder;
        match self.pooling {
            Pooling::FirstToken => encoder.forward_to_first(tape, hidden, layers, input, dropouts),
            Pooling::Mean => {
                let last = encoder.forward_layers(tape, hidden, layers..encoder.layer.len(), input, dropouts);
                means(tape, last, input)
            }
        }
    }

    /// Goes on from [`Self::prefix`] to the scores `(b, classes)` or `(t, classes)`.
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
        let encoder = &self.base.encoder;
        let all = encoder.layer.len();
        match &self.head {
            Head::Sequence(head) => {
                let state = if layers == all { hidden } else { self.state_from(tape, hidden, layers, input, dropouts) };
                let pooled = head.pool(tape, state, dropouts);
                head.score(tape, pooled, dropouts)
            }
            Head::Tokens(head) => {
                let last = encoder.forward_layers(tape, hidden, layers..all, input, dropouts);
                head.score(tape, last, dropouts)
            }
            Head::Vocabulary(head) => {
                let last = encoder.forward_layers(tape, hidden, layers..all, input, dropouts);
                head.score(tape, last, self.base.embeddings.word_embeddings)
            }
        }
    }

    /// [`Self::logits_from`], and of the scores of tokens those of `rows` alone, `(rows, classes)`; where sequences are scored, `rows` are not
    /// read. A head over the vocabulary computes no others: a matrix of all tokens and all words would be the largest of the step.
    ///
    /// # Panics
    /// If there are fewer layers.
    pub fn logits_at<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        hidden: Var,
        layers: usize,
        input: &Sequences,
        dropouts: &Dropouts,
        rows: &[u32],
    ) -> Var {
        let gather = || ops::GatherRows { rows: rows.to_vec() };
        match &self.head {
            Head::Sequence(_) => self.logits_from(tape, hidden, layers, input, dropouts),
            Head::Tokens(_) => {
                // Dropout before the head numbers all tokens, so that passes of a batch share it.
                let logits = self.logits_from(tape, hidden, layers, input, dropouts);
                tape.apply(gather(), &[logits])
            }
            Head::Vocabulary(head) => {
                let encoder = &self.base.encoder;
                let last = encoder.forward_layers(tape, hidden, layers..encoder.layer.len(), input, dropouts);
                let scored = tape.apply(gather(), &[last]);
                head.score(tape, scored, self.base.embeddings.word_embeddings)
            }
        }
    }
}

/// The mean of each sequence's states, `(b, hidden)`.
fn means<B: Backend>(tape: &mut Tape<'_, B>, hidden: Var, input: &Sequences) -> Var {
    tape.apply(ops::SequenceMeans { offsets: input.offsets.clone() }, &[hidden])
}
