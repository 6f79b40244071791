//! Where the model drops, and how much: the masks are pure functions of (seed, step, layer, site, element). Elements are numbered
//! within the batch of an optimizer step, so a batch that is cut into passes has the masks of the whole.

use super::HeadKind;
use crate::config::EncoderConfig;
use crate::family::Block;
use crate::lora::Target;
use ferrotune_tensor::{Cpu, Mask, ops};

/// The dropouts of one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Dropouts {
    embeddings: f32,
    hidden: f32,
    attention_output: f32,
    attention: f32,
    classifier: f32,
    token_classifier: f32,
    training: bool,
    on_distances: bool,
    seed: u64,
    step: u64,
    first_token: usize,
    first_row: usize,
    /// Width of hidden states.
    width: usize,
    /// Width of the embeddings.
    embedding_width: usize,
    /// Width between the feed-forward layers.
    intermediate_width: usize,
    heads: usize,
}

/// The places, numbered for the mask generator. The numbers are part of what a seed means: never change them.
#[derive(Clone, Copy)]
pub(super) enum Site {
    Embeddings = 0,
    AttentionProbabilities = 1,
    AttentionOutput = 2,
    FeedForwardOutput = 3,
    Classifier = 4,
    HeadInput = 5,
    TokenClassifier = 6,
    GatedIntermediate = 7,
    Distances = 8,
}

/// The inputs of adapters are numbered from here on, in the order of [`Target::ALL`], and behind them those where embeddings of distances come in.
const ADAPTERS: u32 = 16;

impl Dropouts {
    /// No dropout: evaluation and prediction.
    pub fn off() -> Dropouts {
        Dropouts {
            embeddings: 0.0,
            hidden: 0.0,
            attention_output: 0.0,
            attention: 0.0,
            classifier: 0.0,
            token_classifier: 0.0,
            training: false,
            on_distances: false,
            seed: 0,
            step: 0,
            first_token: 0,
            first_row: 0,
            width: 0,
            embedding_width: 0,
            intermediate_width: 0,
            heads: 0,
        }
    }

    /// The dropouts that the configuration names, for the batch of one optimizer step.
    pub fn training(config: &EncoderConfig, seed: u64, step: u64) -> Dropouts {
        Dropouts {
            embeddings: config.embedding_dropout(),
            hidden: config.hidden_dropout_prob,
            // What is dropped of the projection after attention: as much as of hidden states, or of probabilities.
            attention_output: match config.family.block {
                Block::PostNorm => config.hidden_dropout_prob,
                Block::PreNorm { .. } => config.attention_probs_dropout_prob,
            },
            attention: config.attention_probs_dropout_prob,
            classifier: config.head_dropout(HeadKind::Sequence),
            token_classifier: config.head_dropout(HeadKind::Tokens),
            training: true,
            on_distances: false,
            seed,
            step,
            first_token: 0,
            first_row: 0,
            width: config.hidden_size,
            embedding_width: config.embedding_size,
            intermediate_width: config.intermediate_size,
            heads: config.num_attention_heads,
        }
    }

    /// The same, for a pass over a part of the batch that begins at this token and this row of it.
    pub fn starting_at(self, token: usize, row: usize) -> Dropouts {
        Dropouts { first_token: token, first_row: row, ..self }
    }

    /// The same for what a layer makes of the embeddings of distances, counted from the last row of their table down, but for the first so many: one mask for
    /// all passes of a batch.
    pub(super) fn on_distances(self, above: usize) -> Dropouts {
        Dropouts { first_token: above, on_distances: true, ..self }
    }

    /// The mask of what the adapter of a linear layer reads, `(t, width)`: dropped with probability `p`.
    pub(crate) fn adapter_mask(&self, p: f32, layer: usize, target: Target, width: usize) -> Mask {
        if !self.training || p == 0.0 {
            return Mask::NONE;
        }
        let site = target as usize + if self.on_distances { Target::ALL.len() } else { 0 };
        let whole = Mask::new(p, self.seed, self.step, layer as u32, ADAPTERS + site as u32);
        whole.starting_at((self.first_token * width) as u64)
    }

    pub(super) fn mask(&self, site: Site, layer: usize) -> Mask {
        let p = match site {
            Site::AttentionProbabilities => self.attention,
            Site::Classifier | Site::HeadInput => self.classifier,
            Site::TokenClassifier => self.token_classifier,
            Site::Embeddings => self.embeddings,
            Site::AttentionOutput => self.attention_output,
            Site::FeedForwardOutput | Site::GatedIntermediate | Site::Distances => self.hidden,
        };
        if p == 0.0 {
            return Mask::NONE;
        }
        let whole = Mask::new(p, self.seed, self.step, layer as u32, site as u32);
        match site {
            Site::AttentionProbabilities => ops::Attention::<Cpu>::mask_from(whole, self.first_token, self.heads),
            Site::Classifier | Site::HeadInput => whole.starting_at((self.first_row * self.width) as u64),
            Site::Embeddings => whole.starting_at((self.first_token * self.embedding_width) as u64),
            Site::GatedIntermediate => whole.starting_at((self.first_token * self.intermediate_width) as u64),
            Site::AttentionOutput | Site::FeedForwardOutput | Site::TokenClassifier | Site::Distances => {
                whole.starting_at((self.first_token * self.width) as u64)
            }
        }
    }
}
