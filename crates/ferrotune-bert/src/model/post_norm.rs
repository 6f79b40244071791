//! BERT's layer: self-attention and feed-forward part, each followed by residual, dropout and layer norm (post-norm). It must not know the stack.

use super::dropouts::Site;
use super::{Dropouts, LayerNorm, Linear, PassDistances, Place};
use crate::config::EncoderConfig;
use crate::lora::Target;
use ferrotune_tensor::{Backend, Scope, Tape, Var, ops};
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
pub struct PostNormLayer {
    /// `attention`
    pub attention: Attention,
    /// `intermediate`
    pub intermediate: Intermediate,
    /// `output`
    pub output: Output,
    heads: usize,
    index: usize,
}

impl Output {
    /// Declares the parameters at these two paths of the layer.
    fn new(config: &EncoderConfig, scope: &mut Scope<'_>, paths: [&str; 2], inputs: usize) -> Output {
        let h = config.hidden_size;
        Output {
            dense: Linear::new(scope.enter(paths[0]), inputs, h, config.initializer_range),
            layer_norm: LayerNorm::new(config, scope.enter(paths[1]), h),
        }
    }
}

impl PostNormLayer {
    /// Declares the parameters of layer `index` in `scope`.
    pub fn new(config: &EncoderConfig, mut scope: Scope<'_>, index: usize) -> PostNormLayer {
        let (h, i, std) = (config.hidden_size, config.intermediate_size, config.initializer_range);
        let paths = &config.family.layer;
        // One below the other in memory, so that one product serves all three.
        let names = [paths.query, paths.key, paths.value];
        let [query, key, value] = Linear::declare_joined(&mut scope, names, h, h, std);
        let self_ = SelfAttention { query, key, value };
        let output = Output::new(config, &mut scope, [paths.attention_output, paths.attention_norm], h);
        let attention = Attention { self_, output };
        let intermediate = Intermediate { dense: Linear::new(scope.enter(paths.intermediate), h, i, std) };
        let output = Output::new(config, &mut scope, [paths.output, paths.output_norm], i);
        PostNormLayer { attention, intermediate, output, heads: config.num_attention_heads, index }
    }

    /// `x (t, hidden)` to `(t, hidden)`.
    pub fn forward<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        offsets: &Arc<[u32]>,
        distances: Option<&PassDistances>,
        dropouts: &Dropouts,
    ) -> Var {
        let context = self.attend(tape, x, None, offsets, distances, dropouts);
        self.after_attention(tape, context, x, None, dropouts)
    }

    /// Of `x (t, hidden)` only what becomes of each sequence's first token, `(b, hidden)`: keys and values for all tokens, the rest
    /// for these rows alone. The bits are those of [`Self::forward`], dropout included.
    pub fn forward_first<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        offsets: &Arc<[u32]>,
        distances: Option<&PassDistances>,
        dropouts: &Dropouts,
    ) -> Var {
        let rows: Arc<[u32]> = offsets[..offsets.len() - 1].into();
        let first = tape.apply(ops::GatherRows { rows: rows.to_vec() }, &[x]);
        let context = self.attend(tape, x, Some((first, &rows)), offsets, distances, dropouts);
        self.after_attention(tape, context, first, Some(&rows), dropouts)
    }

    /// What the tokens that are queried get of the values: all tokens, or the first ones of the sequences, with their rows.
    fn attend<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        first: Option<(Var, &Arc<[u32]>)>,
        offsets: &Arc<[u32]>,
        distances: Option<&PassDistances>,
        dropouts: &Dropouts,
    ) -> Var {
        let projections = &self.attention.self_;
        let SelfAttention { query, key, value } = projections;
        let place = self.place(dropouts, None);
        let apart = distances.is_some_and(PassDistances::read_queries);
        let mut sources = Vec::new();
        let all = [query, key, value];
        let mut left = &all[..];
        if let Some((first, rows)) = first {
            sources.push(query.forward_at(tape, first, self.place(dropouts, Some(rows))));
            left = &all[1..];
        }
        match apart {
            true => sources.extend(left.iter().map(|layer| layer.forward_at(tape, x, place))),
            false => sources.extend(Linear::forward_joined(tape, left, x, place)),
        }
        let query_offsets = match first {
            Some(_) => (0..offsets.len() as u32).collect(),
            None => offsets.clone(),
        };
        let mask = dropouts.mask(Site::AttentionProbabilities, self.index);
        let attention = ops::Attention::with_queries(self.heads, query_offsets, offsets.clone(), mask);
        match distances {
            None => tape.apply(attention, &sources),
            Some(distances) => {
                let rows = first.map(|(_, rows)| rows);
                distances.attend(tape, attention, sources, rows, projections, (dropouts, self.index))
            }
        }
    }

    /// The linear layer that an adapter of this target lies beside.
    pub(crate) fn linear(&mut self, target: Target) -> &mut Linear {
        match target {
            Target::Query => &mut self.attention.self_.query,
            Target::Key => &mut self.attention.self_.key,
            Target::Value => &mut self.attention.self_.value,
            Target::AttentionOutput => &mut self.attention.output.dense,
            Target::Intermediate => &mut self.intermediate.dense,
            Target::Output => &mut self.output.dense,
        }
    }

    fn place<'a>(&self, dropouts: &'a Dropouts, rows: Option<&'a [u32]>) -> Place<'a> {
        Place { dropouts, layer: self.index, rows }
    }

    /// What follows the attention, row by row; `rows` as in [`LayerNorm::forward_residual`].
    fn after_attention<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        context: Var,
        x: Var,
        rows: Option<&Arc<[u32]>>,
        dropouts: &Dropouts,
    ) -> Var {
        let mask = |site| dropouts.mask(site, self.index);
        let place = self.place(dropouts, rows.map(|rows| &rows[..]));
        let output = &self.attention.output;
        let projected = output.dense.forward_at(tape, context, place);
        let attended = output.layer_norm.forward_residual(tape, projected, x, mask(Site::AttentionOutput), rows);

        let intermediate = self.intermediate.dense.forward_gelu_at(tape, attended, place);
        let projected = self.output.dense.forward_at(tape, intermediate, place);
        self.output.layer_norm.forward_residual(tape, projected, attended, mask(Site::FeedForwardOutput), rows)
    }
}
