//! The two layers that BERT repeats: linear and layer norm, as parameter identifiers.

use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, Mask, ParamId, Scope, Tape, Var, ops};

/// `y = x Wᵀ + b`.
pub struct Linear {
    /// `weight (o, i)`
    pub weight: ParamId,
    /// `bias (o)`
    pub bias: ParamId,
}

impl Linear {
    /// Declares a layer from `i` to `o` features; a new weight starts normal with this standard deviation.
    pub fn new(mut scope: Scope<'_>, i: usize, o: usize, std: f32) -> Linear {
        Linear { weight: scope.param("weight", [o, i], Init::Normal(std)), bias: scope.param("bias", [o], Init::Zeros) }
    }

    /// `x (n, i)` to `(n, o)`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        let (w, b) = (tape.param(self.weight), tape.param(self.bias));
        tape.apply(ops::Linear::new(), &[x, w, b])
    }

    /// `x (n, i)` to `gelu(x Wᵀ + b) (n, o)`.
    pub fn forward_gelu<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        let (w, b) = (tape.param(self.weight), tape.param(self.bias));
        tape.apply(ops::Linear::with_gelu(), &[x, w, b])
    }
}

/// Layer norm with scale and shift.
pub struct LayerNorm {
    /// `weight (h)`
    pub weight: ParamId,
    /// `bias (h)`
    pub bias: ParamId,
    eps: f32,
}

impl LayerNorm {
    /// Declares a layer norm of `h` features.
    pub fn new(mut scope: Scope<'_>, h: usize, eps: f32) -> LayerNorm {
        LayerNorm { weight: scope.param("weight", [h], Init::Ones), bias: scope.param("bias", [h], Init::Zeros), eps }
    }

    /// `LN(x)`, `(n, h)`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var) -> Var {
        let (w, b) = (tape.param(self.weight), tape.param(self.bias));
        tape.apply(ops::AddNorm::new(self.eps, Mask::NONE), &[x, w, b])
    }

    /// `LN(residual + dropout(x))`, `(n, h)`.
    pub fn forward_residual<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var, residual: Var, mask: Mask) -> Var {
        let (w, b) = (tape.param(self.weight), tape.param(self.bias));
        tape.apply(ops::AddNorm::new(self.eps, mask), &[x, w, b, residual])
    }
}
