//! The model: plain structs of parameter identifiers whose field paths are the checkpoint's names
//! (`bert.encoder.layer.0.attention.self.query.weight`; Rust's `self_` is the checkpoint's `self`). Knows no file.
//! Reference: Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>, and `BertForSequenceClassification` of transformers.

mod classification;
mod dropouts;
mod embeddings;
mod encoder;
mod layers;
mod pooler;

pub use classification::{BertForSequenceClassification, Outputs};
pub use dropouts::Dropouts;
pub use embeddings::Embeddings;
pub use encoder::{Encoder, Layer};
pub use layers::{LayerNorm, Linear};
pub use pooler::Pooler;

use crate::config::BertConfig;
use ferrotune_tensor::{Backend, Scope, Tape, Var};
use std::sync::Arc;

/// A ragged batch of token sequences: no padding. `t` is the number of tokens of all sequences together.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// Word-piece ids, `(t)`.
    pub ids: Vec<u32>,
    /// Token types (0, and 1 for the second text of a pair), `(t)`.
    pub type_ids: Vec<u32>,
    /// Positions, starting at 0 in each sequence, `(t)`.
    pub positions: Vec<u32>,
    /// Sequence `s` is tokens `offsets[s]..offsets[s + 1]`.
    pub offsets: Arc<[u32]>,
}

impl Sequences {
    /// The first token of each sequence, `[CLS]`.
    pub fn first_tokens(&self) -> Vec<u32> {
        self.offsets[..self.offsets.len() - 1].to_vec()
    }
}

/// Embeddings, encoder and pooler.
pub struct Bert {
    /// `bert.embeddings`
    pub embeddings: Embeddings,
    /// `bert.encoder`
    pub encoder: Encoder,
    /// `bert.pooler`
    pub pooler: Pooler,
}

impl Bert {
    /// Declares the parameters in `scope`.
    pub fn new(config: &BertConfig, mut scope: Scope<'_>) -> Bert {
        Bert {
            embeddings: Embeddings::new(config, scope.enter("embeddings")),
            encoder: Encoder::new(config, scope.enter("encoder")),
            pooler: Pooler::new(config, scope.enter("pooler")),
        }
    }

    /// The hidden states `(t, hidden)`: the embeddings' output, then each layer's.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Vec<Var> {
        let embedded = tape.scope(|tape| self.embeddings.forward(tape, input, dropouts));
        self.encoder.forward(tape, embedded, &input.offsets, dropouts)
    }
}
