//! The model: plain structs of parameter identifiers, named as BERT's checkpoints name them
//! (`bert.encoder.layer.0.attention.self.query.weight`; Rust's `self_` is the checkpoint's `self`); another family's paths stand in its
//! row of [`family`](crate::family). Knows no file.
//! Reference: Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>, and the model classes of transformers.

mod base;
mod classification;
mod distances;
mod dropouts;
mod embeddings;
mod encoder;
mod heads;
mod layers;
mod post_norm;
mod pre_norm;

pub use base::Base;
pub use classification::{EncoderClassifier, Head, Outputs};
pub use distances::{Distances, PassDistances};
pub use dropouts::Dropouts;
pub use embeddings::Embeddings;
pub use encoder::{Encoder, Layer};
pub(crate) use heads::vocabulary_paths;
pub use heads::{HeadKind, SequenceHead, TokenHead, VocabularyHead};
pub(crate) use layers::drop;
pub use layers::{LayerNorm, Linear, Place};
pub use post_norm::PostNormLayer;
pub use pre_norm::PreNormLayer;

use std::sync::Arc;

/// A ragged batch of token sequences: no padding. `t` is the number of tokens of all sequences together.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// Token ids, `(t)`.
    pub ids: Vec<u32>,
    /// Token types (0, and 1 for the second text of a pair), `(t)`. Families without token types do not read them.
    pub type_ids: Vec<u32>,
    /// Positions, starting at 0 in each sequence, `(t)`; the model adds what its family counts from.
    pub positions: Arc<[u32]>,
    /// Sequence `s` is tokens `offsets[s]..offsets[s + 1]`.
    pub offsets: Arc<[u32]>,
}

impl Sequences {
    /// The first token of each sequence, `[CLS]`.
    pub fn first_tokens(&self) -> Vec<u32> {
        self.offsets[..self.offsets.len() - 1].to_vec()
    }
}
