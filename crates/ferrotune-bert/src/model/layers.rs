//! The two layers that BERT repeats: linear and layer norm, as parameter identifiers.

use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, Mask, ParamId, Scope, Shape, Tape, Var, ops};
// The adapter of a linear layer: `lora.rs` declares it.
use super::Dropouts;
use crate::config::EncoderConfig;
use crate::lora::Adapter;
use std::sync::Arc;

/// Where in an encoder a linear layer runs: this chooses the dropout of its adapter.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Those of the pass.
    pub dropouts: &'a Dropouts,
    /// The encoder layer.
    pub layer: usize,
    /// The rows of the pass that the input holds, if not all: each gets the dropout that it has among all.
    pub rows: Option<&'a [u32]>,
}

/// `y = x Wᵀ + b`, plus an adapter's low-rank product if there is one.
pub struct Linear {
    /// `weight (o, i)`
    pub weight: ParamId,
    /// `bias (o)`, if the layer has one
    pub bias: Option<ParamId>,
    /// `lora_A (r, i)` and `lora_B (o, r)`
    pub lora: Option<Adapter>,
}

impl Linear {
    /// Declares a layer from `i` to `o` features; a new weight starts normal with this standard deviation.
    pub fn new(mut scope: Scope<'_>, i: usize, o: usize, std: f32) -> Linear {
        let weight = scope.param("weight", [o, i], Init::Normal(std));
        Linear { weight, bias: Some(scope.param("bias", [o], Init::Zeros)), lora: None }
    }

    /// The same without a bias.
    pub fn without_bias(mut scope: Scope<'_>, i: usize, o: usize, std: f32) -> Linear {
        Linear { weight: scope.param("weight", [o, i], Init::Normal(std)), bias: None, lora: None }
    }

    /// Declares layers of the same sizes, whose weights lie one below the other, and their biases too, so that
    /// [`Linear::forward_joined`] can run some of them as one product. `names` are entered from `scope`.
    pub(super) fn declare_joined<const N: usize>(
        scope: &mut Scope<'_>,
        names: [&str; N],
        i: usize,
        o: usize,
        std: f32,
    ) -> [Linear; N] {
        let mut declare = |name: &str, shape: Shape, init: Init| {
            let mut first = true;
            names.map(|layer| {
                let mut scope = scope.enter(layer);
                let above = !std::mem::take(&mut first);
                if above { scope.param_below(name, shape, init) } else { scope.param(name, shape, init) }
            })
        };
        let weights = declare("weight", [o, i].into(), Init::Normal(std));
        let biases = declare("bias", [o].into(), Init::Zeros);
        let mut layers = weights.into_iter().zip(biases);
        std::array::from_fn(|_| {
            let (weight, bias) = layers.next().expect("one for each name");
            Linear { weight, bias: Some(bias), lora: None }
        })
    }

    /// `x (n, i)` through neighbours of [`Linear::declare_joined`]: their outputs side by side, `(n, o·layers)`, in one matrix; or, if
    /// one of them has an adapter, each in a matrix of its own.
    pub(super) fn forward_joined<B: Backend>(
        tape: &mut Tape<'_, B>,
        layers: &[&Linear],
        x: Var,
        place: Place<'_>,
    ) -> Vec<Var> {
        if layers.iter().any(|layer| layer.lora.is_some()) {
            return layers.iter().map(|layer| layer.forward_at(tape, x, place)).collect();
        }
        let weights: Vec<_> = layers.iter().map(|layer| layer.weight).collect();
        let biases: Vec<_> = layers.iter().filter_map(|layer| layer.bias).collect();
        let (w, b) = (tape.joined(&weights), tape.joined(&biases));
        vec![tape.apply(ops::Linear::new(), &[x, w, b])]
    }

    /// `x (n, i)` to `(n, o)`, of a layer that has no adapter.
    ///
    /// # Panics
    /// If it has one.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        assert!(self.lora.is_none(), "linear: the dropout of an adapter depends on its place; use forward_at");
        self.plain(tape, x)
    }

    /// `x (n, i)` to `(n, o)`, with the adapter if there is one.
    pub fn forward_at<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var, place: Place<'_>) -> Var {
        let y = self.plain(tape, x);
        match &self.lora {
            Some(adapter) => adapter.add(tape, x, y, place),
            None => y,
        }
    }

    /// `x Wᵀ + b`.
    fn plain<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        let w = tape.param(self.weight);
        match self.bias {
            Some(bias) => {
                let b = tape.param(bias);
                tape.apply(ops::Linear::new(), &[x, w, b])
            }
            None => tape.apply(ops::Linear::new(), &[x, w]),
        }
    }

    /// `x (n, i)` to `gelu(x Wᵀ + b) (n, o)`, with the adapter inside if there is one.
    pub fn forward_gelu_at<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var, place: Place<'_>) -> Var {
        if self.lora.is_some() {
            let pre = self.forward_at(tape, x, place);
            return tape.apply(ops::Gelu, &[pre]);
        }
        self.forward_gelu(tape, x)
    }

    /// `x (n, i)` to `gelu(x Wᵀ + b) (n, o)`, of a layer that has no adapter.
    ///
    /// # Panics
    /// If it has one.
    pub fn forward_gelu<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        assert!(self.lora.is_none(), "linear: the dropout of an adapter depends on its place; use forward_gelu_at");
        let Some(bias) = self.bias else {
            let pre = self.plain(tape, x);
            return tape.apply(ops::Gelu, &[pre]);
        };
        let (w, b) = (tape.param(self.weight), tape.param(bias));
        tape.apply(ops::Linear::with_gelu(), &[x, w, b])
    }
}

/// Layer norm with a scale, and a shift where the family has biases.
pub struct LayerNorm {
    /// `weight (h)`
    pub weight: ParamId,
    /// `bias (h)`
    pub bias: Option<ParamId>,
    eps: f32,
}

impl LayerNorm {
    /// Declares a layer norm of `h` features, as the family has it.
    pub fn new(config: &EncoderConfig, mut scope: Scope<'_>, h: usize) -> LayerNorm {
        let weight = scope.param("weight", [h], Init::Ones);
        let bias = config.family.has_biases().then(|| scope.param("bias", [h], Init::Zeros));
        LayerNorm { weight, bias, eps: config.layer_norm_eps }
    }

    /// `LN(x)`, `(n, h)`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        self.apply(tape, ops::AddNorm::new(self.eps, Mask::NONE), x, None)
    }

    /// `LN(residual + dropout(x))`, `(n, h)`. If these are only some rows of a larger matrix, `rows` tells which: each then gets the
    /// dropout that it has there.
    pub fn forward_residual<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        x: Var,
        residual: Var,
        mask: Mask,
        rows: Option<&Arc<[u32]>>,
    ) -> Var {
        let op = ops::AddNorm::new(self.eps, mask);
        let op = if let Some(rows) = rows { op.with_mask_rows(rows.clone()) } else { op };
        self.apply(tape, op, x, Some(residual))
    }

    fn apply<B: Backend>(&self, tape: &mut Tape<'_, B>, op: ops::AddNorm<B>, x: Var, residual: Option<Var>) -> Var {
        let op = if self.bias.is_some() { op } else { op.without_bias() };
        let mut inputs = vec![x, tape.param(self.weight)];
        inputs.extend(self.bias.map(|bias| tape.param(bias)));
        inputs.extend(residual);
        tape.apply(op, &inputs)
    }
}

/// `x (n, w)` with elements dropped. If these are only some rows of a larger matrix, `rows` tells which: each then gets the dropout that it has there.
pub(crate) fn drop<B: Backend>(tape: &mut Tape<'_, B>, x: Var, mask: Mask, rows: Option<&[u32]>) -> Var {
    match rows {
        _ if mask.is_none() => x,
        None => tape.apply(ops::Dropout { mask }, &[x]),
        // A few rows, once in a pass: their factors are written out.
        Some(rows) => {
            let width = tape.shape(x).width();
            let elements = rows.iter().flat_map(|&row| (0..width).map(move |i| row as usize * width + i));
            let keep: Vec<f32> = elements.map(|element| mask.keep_scale(element as u64)).collect();
            let keep = tape.constant_from([rows.len(), width], &keep);
            tape.apply(ops::Mul, &[x, keep])
        }
    }
}
