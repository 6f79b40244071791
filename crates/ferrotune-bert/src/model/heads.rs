//! Heads: what turns hidden states into scores: of classes for each sequence or each token, or of all words for a token.

use super::dropouts::Site;
use super::layers::drop;
use super::{Dropouts, LayerNorm, Linear};
use crate::config::EncoderConfig;
use crate::family::{Block, HeadActivation, TOKEN_HEAD, VocabularyHeadPaths};
use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, Layout, Mask, ParamId, Tape, Var, ops};
use std::fmt;

/// What a head gives scores to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// Each sequence, from its first token or from the mean of all.
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

/// Linear, activation, in some families layer norm, dropout, linear on one state of each sequence: `bert.pooler` and `classifier`, or what the family
/// calls them.
pub struct SequenceHead {
    /// `(hidden, hidden)`
    pub dense: Linear,
    /// `(hidden)`, in families that have it
    pub norm: Option<LayerNorm>,
    /// `(classes, hidden)`
    pub out: Linear,
    activation: HeadActivation,
    drops_input: bool,
}

impl SequenceHead {
    pub(super) fn new(config: &EncoderConfig, layout: &mut Layout, classes: usize) -> SequenceHead {
        let (paths, h) = (&config.family.sequence_head, config.hidden_size);
        SequenceHead {
            dense: dense(config, layout, paths.dense),
            norm: paths.norm.map(|norm| LayerNorm::new(config, layout.root().enter(norm), h)),
            out: Linear::new(layout.root().enter(paths.out), h, classes, out_std(config)),
            activation: paths.activation,
            drops_input: paths.drops_input,
        }
    }

    /// `state (b, hidden)`, the hidden state of each sequence's first token or the mean of all its tokens', through dense, activation and layer norm:
    /// `(b, hidden)`.
    pub fn pool<B: Backend>(&self, tape: &mut Tape<'_, B>, state: Var, dropouts: &Dropouts) -> Var {
        let mask = if self.drops_input { dropouts.mask(Site::HeadInput, 0) } else { Mask::NONE };
        let state = drop(tape, state, mask, None);
        let active = match self.activation {
            HeadActivation::Gelu => self.dense.forward_gelu(tape, state),
            HeadActivation::Tanh => {
                let dense = self.dense.forward(tape, state);
                tape.apply(ops::Tanh, &[dense])
            }
            HeadActivation::Relu => {
                let dense = self.dense.forward(tape, state);
                tape.apply(ops::Relu, &[dense])
            }
        };
        self.norm.as_ref().map_or(active, |norm| norm.forward(tape, active))
    }

    /// Scores `(b, classes)` of what [`Self::pool`] gives.
    pub fn score<B: Backend>(&self, tape: &mut Tape<'_, B>, pooled: Var, dropouts: &Dropouts) -> Var {
        let dropped = drop(tape, pooled, dropouts.mask(Site::Classifier, 0), None);
        self.out.forward(tape, dropped)
    }
}

/// Linear, GELU and layer norm in some families, dropout and a linear layer, on every token.
pub struct TokenHead {
    /// `head.dense` and `head.norm`, in families whose heads on sequences have them too
    pub transform: Option<(Linear, LayerNorm)>,
    /// `classifier (classes, hidden)`
    pub classifier: Linear,
}

impl TokenHead {
    pub(super) fn new(config: &EncoderConfig, layout: &mut Layout, classes: usize) -> TokenHead {
        let (paths, h) = (&config.family.sequence_head, config.hidden_size);
        let transform = paths.norm.map(|norm| {
            let dense = dense(config, layout, paths.dense);
            (dense, LayerNorm::new(config, layout.root().enter(norm), h))
        });
        TokenHead { transform, classifier: Linear::new(layout.root().enter(TOKEN_HEAD), h, classes, out_std(config)) }
    }

    /// Scores `(t, classes)` of `hidden (t, hidden)`.
    pub fn score<B: Backend>(&self, tape: &mut Tape<'_, B>, hidden: Var, dropouts: &Dropouts) -> Var {
        let transformed = self.transform.as_ref().map_or(hidden, |(dense, norm)| {
            let active = dense.forward_gelu(tape, hidden);
            norm.forward(tape, active)
        });
        let dropped = drop(tape, transformed, dropouts.mask(Site::TokenClassifier, 0), None);
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

/// `cls.predictions`, `lm_head`, or `vocab_transform` or `head` with its companions: linear, GELU, layer norm, and the scores of all words. The weight of
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
        let paths = vocabulary_paths(config);
        VocabularyHead {
            dense: dense(config, layout, paths.dense),
            norm: LayerNorm::new(config, layout.root().enter(paths.norm), config.hidden_size),
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

/// The first linear layer of a head, `(hidden, hidden)`.
fn dense(config: &EncoderConfig, layout: &mut Layout, path: &str) -> Linear {
    let (h, mut root) = (config.hidden_size, layout.root());
    match config.family.block {
        Block::PostNorm => Linear::new(root.enter(path), h, h, config.initializer_range),
        Block::PreNorm { .. } => Linear::without_bias(root.enter(path), h, h, config.residual_std()),
    }
}

/// The standard deviation of a new last layer's weight, as transformers has it.
fn out_std(config: &EncoderConfig) -> f32 {
    match config.family.block {
        Block::PostNorm => config.initializer_range,
        Block::PreNorm { .. } => 1.0 / (config.hidden_size as f32).sqrt(),
    }
}
