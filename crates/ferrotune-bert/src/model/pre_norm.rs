//! ModernBERT's layer: self-attention with rotary positions and a gated feed-forward part, each after a layer norm and added to what goes past it
//! (pre-norm). It must not know the stack.

use super::dropouts::Site;
use super::layers::drop;
use super::{Dropouts, LayerNorm, Linear, Place, Sequences};
use crate::config::{EncoderConfig, LayerPositions};
use crate::lora::Target;
use ferrotune_tensor::{Backend, Scope, Tape, Var, ops};
use std::sync::Arc;

/// `layers.N.attn`
pub struct FusedAttention {
    /// `Wqkv (3·hidden, hidden)`
    pub wqkv: Linear,
    /// `Wo (hidden, hidden)`
    pub wo: Linear,
}

/// `layers.N.mlp`: `Wo (gelu(a)·b)` with `a|b = Wi x`.
pub struct GatedFeedForward {
    /// `Wi (2·intermediate, hidden)`
    pub wi: Linear,
    /// `Wo (hidden, intermediate)`
    pub wo: Linear,
}

/// `layers.N`
pub struct PreNormLayer {
    /// `attn_norm`, in all layers but the first, whose input is normalised
    pub attn_norm: Option<LayerNorm>,
    /// `attn`
    pub attn: FusedAttention,
    /// `mlp_norm`
    pub mlp_norm: LayerNorm,
    /// `mlp`
    pub mlp: GatedFeedForward,
    heads: usize,
    index: usize,
    frequencies: Arc<[f32]>,
    window: Option<u32>,
}

impl PreNormLayer {
    /// Declares the parameters of layer `index` in `scope`.
    pub fn new(config: &EncoderConfig, mut scope: Scope<'_>, index: usize) -> PreNormLayer {
        let (h, i, std) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        let out_std = config.residual_std();
        let paths = &config.family.layer;
        let mut linear =
            |path: &str, inputs, outputs, std| Linear::without_bias(scope.enter(path), inputs, outputs, std);
        let attn = FusedAttention {
            wqkv: linear(paths.query, h, 3 * h, std),
            wo: linear(paths.attention_output, h, h, out_std),
        };
        let mlp =
            GatedFeedForward { wi: linear(paths.intermediate, h, 2 * i, std), wo: linear(paths.output, i, h, out_std) };
        let mut norm = |path: &str| LayerNorm::new(config, scope.enter(path), h);
        let (attn_norm, mlp_norm) = ((index > 0).then(|| norm(paths.attention_norm)), norm(paths.output_norm));
        let LayerPositions { theta, window } = config.layer_positions[index];
        let frequencies = frequencies(theta, config.head_dim());
        PreNormLayer { attn_norm, attn, mlp_norm, mlp, heads: config.num_attention_heads, index, frequencies, window }
    }

    /// `x (t, hidden)` to `(t, hidden)`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var, input: &Sequences, dropouts: &Dropouts) -> Var {
        let context = self.attend(tape, x, input, dropouts);
        self.after_attention(tape, context, x, None, dropouts)
    }

    /// Of `x (t, hidden)` only what becomes of each sequence's first token, `(b, hidden)`: attention for all tokens, the rest for these rows alone. The
    /// bits are those of [`Self::forward`], dropout included.
    pub fn forward_first<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        input: &Sequences,
        dropouts: &Dropouts,
    ) -> Var {
        let context = self.attend(tape, x, input, dropouts);
        let rows = input.first_tokens();
        let [context, x] = [context, x].map(|x| tape.apply(ops::GatherRows { rows: rows.clone() }, &[x]));
        self.after_attention(tape, context, x, Some(&rows[..]), dropouts)
    }

    /// The linear layer that an adapter of this target lies beside.
    pub(crate) fn linear(&mut self, target: Target) -> &mut Linear {
        match target {
            Target::Query | Target::Key | Target::Value => &mut self.attn.wqkv,
            Target::AttentionOutput => &mut self.attn.wo,
            Target::Intermediate => &mut self.mlp.wi,
            Target::Output => &mut self.mlp.wo,
        }
    }

    fn place<'a>(&self, dropouts: &'a Dropouts, rows: Option<&'a [u32]>) -> Place<'a> {
        Place { dropouts, layer: self.index, rows }
    }

    /// The mixed values of all tokens, before their projection.
    fn attend<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var, input: &Sequences, dropouts: &Dropouts) -> Var {
        let normed = self.attn_norm.as_ref().map_or(x, |norm| norm.forward(tape, x));
        let qkv = self.attn.wqkv.forward_at(tape, normed, self.place(dropouts, None));
        let (positions, frequencies) = (input.positions.clone(), self.frequencies.clone());
        // Queries and keys, which lie before the values.
        let turned = tape.apply(ops::Rotary { heads: 2 * self.heads, positions, frequencies }, &[qkv]);
        let mask = dropouts.mask(Site::AttentionProbabilities, self.index);
        tape.apply(ops::Attention::new(self.heads, input.offsets.clone(), mask).within(self.window), &[turned])
    }

    /// What follows, row by row; `rows` as in [`Place`].
    fn after_attention<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        context: Var,
        x: Var,
        rows: Option<&[u32]>,
        dropouts: &Dropouts,
    ) -> Var {
        let place = self.place(dropouts, rows);
        let projected = self.attn.wo.forward_at(tape, context, place);
        let projected = drop(tape, projected, dropouts.mask(Site::AttentionOutput, self.index), rows);
        let x = tape.apply(ops::Add, &[x, projected]);

        let normed = self.mlp_norm.forward(tape, x);
        let pair = self.mlp.wi.forward_at(tape, normed, place);
        let gated = tape.apply(ops::Geglu, &[pair]);
        let gated = drop(tape, gated, dropouts.mask(Site::GatedIntermediate, self.index), rows);
        let projected = self.mlp.wo.forward_at(tape, gated, place);
        tape.apply(ops::Add, &[x, projected])
    }
}

/// Radians from one position to the next for each pair of a head's columns: `θ^(-2i/d)`, rounded as in transformers, which computes in f32.
fn frequencies(theta: f32, head_dim: usize) -> Arc<[f32]> {
    let exponent = |i: usize| (2 * i) as f32 / head_dim as f32;
    (0..head_dim / 2).map(|i| 1.0 / theta.powf(exponent(i))).collect()
}
