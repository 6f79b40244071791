//! Heads: what turns hidden states into scores: of classes for each sequence or each token, or of all words for a token.

use super::dropouts::Site;
use super::{Dropouts, LayerNorm, Linear};
use crate::config::EncoderConfig;
use crate::family::{HeadActivation, TOKEN_HEAD, VocabularyHeadPaths};
use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, Layout, Mask, ParamId, Tape, Var, ops};
use std::fmt;

/// What a head gives scores to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// Each sequence, from its first token.
    Sequence,
    /// Each token.
    Tokens,
    /// Each word of the vocabulary, for each token: masked language modelling.
    Vocabulary,
}

impl fmt::Display for HeadKind {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            HeadKind::Sequence => "whole texts",
            HeadKind::Tokens => "tokens",
            HeadKind::Vocabulary => "masked words",
        })
    }
}

impl HeadKind {
    /// How transformers' class names end.
    pub fn class_suffix(self) -> &'static str {
        match self {
            HeadKind::Sequence => "ForSequenceClassification",
            HeadKind::Tokens => "ForTokenClassification",
            HeadKind::Vocabulary => "ForMaskedLM",
        }
    }

    /// The path of the layer whose rows are the outputs.
    ///
    /// # Panics
    /// If the family has no head of this kind.
    pub fn output_path(self, config: &EncoderConfig) -> &'static str {
        match self {
            HeadKind::Sequence => config.family.sequence_head.out,
            HeadKind::Tokens => TOKEN_HEAD,
            HeadKind::Vocabulary => vocabulary_paths(config).out,
        }
    }
}

/// Linear, activation, dropout, linear on the first token of each sequence: `bert.pooler` and `classifier`, or what the family calls them.
pub struct SequenceHead {
    /// `(hidden, hidden)`
    pub dense: Linear,
    /// `(classes, hidden)`
    pub out: Linear,
    activation: HeadActivation,
    drops_input: bool,
}

impl SequenceHead {
    pub(super) fn new(config: &EncoderConfig, layout: &mut Layout, classes: usize) -> SequenceHead {
        let (paths, h, std) = (&config.family.sequence_head, config.hidden_size, config.initializer_range);
        SequenceHead {
            dense: Linear::new(layout.root().enter(paths.dense), h, h, std),
            out: Linear::new(layout.root().enter(paths.out), h, classes, std),
            activation: paths.activation,
            drops_input: paths.drops_input,
        }
    }

    /// `first (b, hidden)`, the hidden state of each sequence's first token, through dense and activation: `(b, hidden)`.
    pub fn pool<B: Backend>(&self, tape: &mut Tape<'_, B>, first: Var, dropouts: &Dropouts) -> Var {
        let first = if self.drops_input { drop(tape, first, dropouts.mask(Site::HeadInput, 0)) } else { first };
        match self.activation {
            HeadActivation::Gelu => self.dense.forward_gelu(tape, first),
            HeadActivation::Tanh => {
                let dense = self.dense.forward(tape, first);
                tape.apply(ops::Tanh, &[dense])
            }
            HeadActivation::Relu => {
                let dense = self.dense.forward(tape, first);
                tape.apply(ops::Relu, &[dense])
            }
        }
    }

    /// Scores `(b, classes)` of what [`Self::pool`] gives.
    pub fn score<B: Backend>(&self, tape: &mut Tape<'_, B>, pooled: Var, dropouts: &Dropouts) -> Var {
        let dropped = drop(tape, pooled, dropouts.mask(Site::Classifier, 0));
        self.out.forward(tape, dropped)
    }
}

/// Dropout and a linear layer on every token.
pub struct TokenHead {
    /// `classifier (classes, hidden)`
    pub classifier: Linear,
}

impl TokenHead {
    pub(super) fn new(config: &EncoderConfig, layout: &mut Layout, classes: usize) -> TokenHead {
        let (h, std) = (config.hidden_size, config.initializer_range);
        TokenHead { classifier: Linear::new(layout.root().enter(TOKEN_HEAD), h, classes, std) }
    }

    /// Scores `(t, classes)` of `hidden (t, hidden)`.
    pub fn score<B: Backend>(&self, tape: &mut Tape<'_, B>, hidden: Var, dropouts: &Dropouts) -> Var {
        let dropped = drop(tape, hidden, dropouts.mask(Site::TokenClassifier, 0));
        self.classifier.forward(tape, dropped)
    }
}

/// The paths of the family's head over the vocabulary.
///
/// # Panics
/// If it has none.
pub(crate) fn vocabulary_paths(config: &EncoderConfig) -> VocabularyHeadPaths {
    let family = config.family;
    family.vocabulary_head.unwrap_or_else(|| panic!("{} has no head over the vocabulary", family.model_type))
}

/// `cls.predictions`, `lm_head` or `vocab_transform` with its companions: linear, GELU, layer norm, and the scores of all words. The weight of
/// the last layer is the table of word embeddings itself (tied), whose gradient is the sum of both uses. There is no dropout.
pub struct VocabularyHead {
    /// `(hidden, hidden)`
    pub dense: Linear,
    /// `(hidden)`
    pub norm: LayerNorm,
    /// `bias (vocab)`
    pub bias: ParamId,
}

impl VocabularyHead {
    pub(super) fn new(config: &EncoderConfig, layout: &mut Layout) -> VocabularyHead {
        let (paths, h, std) = (vocabulary_paths(config), config.hidden_size, config.initializer_range);
        VocabularyHead {
            dense: Linear::new(layout.root().enter(paths.dense), h, h, std),
            norm: LayerNorm::new(layout.root().enter(paths.norm), h, config.layer_norm_eps),
            bias: layout.root().enter(paths.out).param("bias", [config.vocab_size], Init::Zeros),
        }
    }

    /// Scores `(n, vocab)` of `hidden (n, hidden)`; `words (vocab, hidden)` are the word embeddings.
    pub fn score<B: Backend>(&self, tape: &mut Tape<'_, B>, hidden: Var, words: ParamId) -> Var {
        let transformed = self.dense.forward_gelu(tape, hidden);
        let normed = self.norm.forward(tape, transformed);
        let (words, bias) = (tape.param(words), tape.param(self.bias));
        tape.apply(ops::Linear::new(), &[normed, words, bias])
    }
}

fn drop<B: Backend>(tape: &mut Tape<'_, B>, x: Var, mask: Mask) -> Var {
    if mask.is_none() { x } else { tape.apply(ops::Dropout { mask }, &[x]) }
}
