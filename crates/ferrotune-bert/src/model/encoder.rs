//! The stack of encoder layers, and the layer norm after it in families that have one.

use super::{Distances, Dropouts, LayerNorm, Linear, PassDistances, PostNormLayer, PreNormLayer, Sequences};
use crate::config::EncoderConfig;
use crate::family::Block;
use crate::lora::Target;
use ferrotune_tensor::{Backend, Scope, Tape, Var, ops};
use std::ops::Range;

/// `encoder.layer.N`, or what the family calls it.
pub enum Layer {
    /// As in BERT.
    PostNorm(PostNormLayer),
    /// As in ModernBERT.
    PreNorm(PreNormLayer),
}

impl Layer {
    /// Declares the parameters of layer `index` in `scope`.
    pub fn new(config: &EncoderConfig, scope: Scope<'_>, index: usize) -> Layer {
        match config.family.block {
            Block::PostNorm => Layer::PostNorm(PostNormLayer::new(config, scope, index)),
            Block::PreNorm { .. } => Layer::PreNorm(PreNormLayer::new(config, scope, index)),
        }
    }

    /// `x (t, hidden)` to `(t, hidden)`.
    pub fn forward<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        input: &Sequences,
        distances: Option<&PassDistances>,
        dropouts: &Dropouts,
    ) -> Var {
        match self {
            Layer::PostNorm(layer) => layer.forward(tape, x, &input.offsets, distances, dropouts),
            Layer::PreNorm(layer) => layer.forward(tape, x, input, dropouts),
        }
    }

    /// Of `x (t, hidden)` only what becomes of each sequence's first token, `(b, hidden)`, with the bits of [`Self::forward`], dropout included.
    pub fn forward_first<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        input: &Sequences,
        distances: Option<&PassDistances>,
        dropouts: &Dropouts,
    ) -> Var {
        match self {
            Layer::PostNorm(layer) => layer.forward_first(tape, x, &input.offsets, distances, dropouts),
            Layer::PreNorm(layer) => layer.forward_first(tape, x, input, dropouts),
        }
    }

    /// The linear layer that an adapter of this target lies beside; one for query, key and value in families that have one for all three.
    pub fn linear(&mut self, target: Target) -> &mut Linear {
        match self {
            Layer::PostNorm(layer) => layer.linear(target),
            Layer::PreNorm(layer) => layer.linear(target),
        }
    }
}

/// `bert.encoder`, or what the family calls it.
pub struct Encoder {
    /// `layer.N`
    pub layer: Vec<Layer>,
    /// The table of distances that all layers read, in families that have one.
    pub distances: Option<Distances>,
    /// What the top layer gives goes through it, in families that have one: it lies beside the layers, below the base.
    pub final_norm: Option<LayerNorm>,
    /// Whether a training pass keeps only what each layer gives, and computes the rest of a layer again in backward: the same bits, less
    /// memory, more time.
    pub checkpointing: bool,
}

impl Encoder {
    /// Declares the parameters of all layers, and of what follows them, in the scope of the base.
    pub fn new(config: &EncoderConfig, mut base: Scope<'_>) -> Encoder {
        let distances = Distances::new(config, &mut base);
        let layers = &mut base.enter(config.family.layers);
        let layer = |index| Layer::new(config, layers.enter(index), index);
        let layer = (0..config.num_hidden_layers).map(layer).collect();
        let final_norm = match config.family.block {
            Block::PostNorm => None,
            Block::PreNorm { final_norm } => Some(LayerNorm::new(config, base.enter(final_norm), config.hidden_size)),
        };
        Encoder { layer, distances, final_norm, checkpointing: false }
    }

    /// All hidden states: `x (t, hidden)` itself, then the output of each layer, the last one after the layer norm that may follow.
    pub fn forward<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        input: &Sequences,
        dropouts: &Dropouts,
    ) -> Vec<Var> {
        let distances = self.embed_distances(tape, input);
        let mut hidden = vec![x];
        for layer in 0..self.layer.len() {
            let x = hidden[layer];
            hidden.push(self.run(tape, x, layer..layer + 1, input, distances.as_ref(), dropouts));
        }
        hidden
    }

    /// `x (t, hidden)` through some of the layers, and if the top layer is among them, through what follows it.
    pub fn forward_layers<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        layers: Range<usize>,
        input: &Sequences,
        dropouts: &Dropouts,
    ) -> Var {
        if layers.is_empty() {
            return x;
        }
        // What frozen layers read of distances goes with them.
        tape.scope(|tape| {
            let distances = self.embed_distances(tape, input);
            self.run(tape, x, layers, input, distances.as_ref(), dropouts)
        })
    }

    /// What the layers of a pass read of distances.
    fn embed_distances<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences) -> Option<PassDistances> {
        self.distances.as_ref().map(|distances| distances.embed(tape, input))
    }

    fn run<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        layers: Range<usize>,
        input: &Sequences,
        distances: Option<&PassDistances>,
        dropouts: &Dropouts,
    ) -> Var {
        let has_top = layers.end == self.layer.len();
        let layers = &self.layer[layers];
        let forward = |tape: &mut Tape<'_, B>, x, layer: &Layer| layer.forward(tape, x, input, distances, dropouts);
        let x = layers.iter().fold(x, |x, layer| self.scope(tape, |tape| forward(tape, x, layer)));
        if has_top { self.end(tape, x) } else { x }
    }

    /// `x (t, hidden)` through all layers from number `from` on, and of the result only the first token of each sequence,
    /// `(b, hidden)`: the last layer computes no other row. The bits are those of the full computation.
    pub fn forward_to_first<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        from: usize,
        input: &Sequences,
        dropouts: &Dropouts,
    ) -> Var {
        let Some((last, before)) = self.layer[from..].split_last() else {
            return tape.apply(ops::GatherRows { rows: input.first_tokens() }, &[x]);
        };
        let distances = self.embed_distances(tape, input);
        let distances = distances.as_ref();
        let x = self.run(tape, x, from..from + before.len(), input, distances, dropouts);
        let x = self.scope(tape, |tape| last.forward_first(tape, x, input, distances, dropouts));
        self.end(tape, x)
    }

    /// What follows the top layer.
    fn end<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        self.final_norm.as_ref().map_or(x, |norm| norm.forward(tape, x))
    }

    /// One layer on the tape.
    fn scope<'p, B: Backend>(&self, tape: &mut Tape<'p, B>, layer: impl FnOnce(&mut Tape<'p, B>) -> Var) -> Var {
        if self.checkpointing { tape.checkpoint(layer) } else { tape.scope(layer) }
    }
}
