//! The stack of encoder layers: self-attention and feed-forward, each with residual, dropout and layer norm (post-norm).

use super::dropouts::Site;
use super::{Dropouts, LayerNorm, Linear};
use crate::config::BertConfig;
use ferrotune_tensor::{Backend, Scope, Tape, Var, ops};
use std::ops::Range;
use std::sync::Arc;

/// `encoder.layer.N.attention.self`
pub struct SelfAttention {
    /// `query (hidden, hidden)`
    pub query: Linear,
    /// `key (hidden, hidden)`
    pub key: Linear,
    /// `value (hidden, hidden)`
    pub value: Linear,
}

/// `attention.output` and `output`: linear, then residual + dropout + layer norm.
pub struct Output {
    /// `dense`
    pub dense: Linear,
    /// `LayerNorm`
    pub layer_norm: LayerNorm,
}

/// `encoder.layer.N.attention`
pub struct Attention {
    /// `self`
    pub self_: SelfAttention,
    /// `output`
    pub output: Output,
}

/// `encoder.layer.N.intermediate`
pub struct Intermediate {
    /// `dense (intermediate, hidden)`, followed by GELU
    pub dense: Linear,
}

/// `encoder.layer.N`
pub struct Layer {
    /// `attention`
    pub attention: Attention,
    /// `intermediate`
    pub intermediate: Intermediate,
    /// `output`
    pub output: Output,
    heads: usize,
    index: usize,
}

/// `bert.encoder`
pub struct Encoder {
    /// `layer.N`
    pub layer: Vec<Layer>,
}

impl Output {
    fn new(config: &BertConfig, mut scope: Scope<'_>, inputs: usize) -> Output {
        let h = config.hidden_size;
        Output {
            dense: Linear::new(scope.enter("dense"), inputs, h, config.initializer_range),
            layer_norm: LayerNorm::new(scope.enter("LayerNorm"), h, config.layer_norm_eps),
        }
    }
}

impl Layer {
    /// Declares the parameters of layer `index` in `scope`.
    pub fn new(config: &BertConfig, mut scope: Scope<'_>, index: usize) -> Layer {
        let (h, std) = (config.hidden_size, config.initializer_range);
        let mut attention = scope.enter("attention");
        let mut self_ = attention.enter("self");
        let self_ = SelfAttention {
            query: Linear::new(self_.enter("query"), h, h, std),
            key: Linear::new(self_.enter("key"), h, h, std),
            value: Linear::new(self_.enter("value"), h, h, std),
        };
        let attention = Attention { self_, output: Output::new(config, attention.enter("output"), h) };
        let mut intermediate = scope.enter("intermediate");
        let intermediate =
            Intermediate { dense: Linear::new(intermediate.enter("dense"), h, config.intermediate_size, std) };
        let output = Output::new(config, scope.enter("output"), config.intermediate_size);
        Layer { attention, intermediate, output, heads: config.num_attention_heads, index }
    }

    /// `x (t, hidden)` to `(t, hidden)`.
    pub fn forward<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        offsets: &Arc<[u32]>,
        dropouts: &Dropouts,
    ) -> Var {
        let mask = |site| dropouts.mask(site, self.index);
        let Attention { self_, output } = &self.attention;
        let q = self_.query.forward(tape, x);
        let k = self_.key.forward(tape, x);
        let v = self_.value.forward(tape, x);
        let attend = ops::Attention::new(self.heads, offsets.clone(), mask(Site::AttentionProbabilities));
        let context = tape.apply(attend, &[q, k, v]);
        let projected = output.dense.forward(tape, context);
        let attended = output.layer_norm.forward_residual(tape, projected, x, mask(Site::AttentionOutput));

        let intermediate = self.intermediate.dense.forward_gelu(tape, attended);
        let projected = self.output.dense.forward(tape, intermediate);
        self.output.layer_norm.forward_residual(tape, projected, attended, mask(Site::FeedForwardOutput))
    }
}

impl Encoder {
    /// Declares the parameters of all layers in `scope`.
    pub fn new(config: &BertConfig, mut scope: Scope<'_>) -> Encoder {
        let mut layers = scope.enter("layer");
        let layer = |index| Layer::new(config, layers.enter(index), index);
        Encoder { layer: (0..config.num_hidden_layers).map(layer).collect() }
    }

    /// All hidden states: `x (t, hidden)` itself, then the output of each layer.
    pub fn forward<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        offsets: &Arc<[u32]>,
        dropouts: &Dropouts,
    ) -> Vec<Var> {
        let mut hidden = vec![x];
        for layer in &self.layer {
            let x = hidden[hidden.len() - 1];
            hidden.push(tape.scope(|tape| layer.forward(tape, x, offsets, dropouts)));
        }
        hidden
    }

    /// `x (t, hidden)` through some of the layers.
    pub fn forward_layers<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        layers: Range<usize>,
        offsets: &Arc<[u32]>,
        dropouts: &Dropouts,
    ) -> Var {
        let layers = &self.layer[layers];
        layers.iter().fold(x, |x, layer| tape.scope(|tape| layer.forward(tape, x, offsets, dropouts)))
    }
}
