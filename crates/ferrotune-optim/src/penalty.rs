//! L1 and L2 penalties: terms of the loss, so their gradient is clipped and adapted like the rest. (Weight decay is the decoupled
//! cousin and belongs to the optimizer.) It must not know the loss that it is added to.

use ferrotune_tensor::{Backend, Grads, ParamId, Params};

/// `l1·Σ|w| + l2/2·Σw²` over the weights of rank two and above that got a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Penalty {
    /// Factor of the sum of magnitudes (lasso).
    pub l1: f32,
    /// Factor of half the sum of squares (ridge).
    pub l2: f32,
}

impl Penalty {
    /// True if there is nothing to add.
    pub fn is_none(&self) -> bool {
        self.l1 == 0.0 && self.l2 == 0.0
    }

    /// Adds the penalty's gradient, `l1·sign(w) + l2·w`, and returns the penalty's value, if there is one.
    pub fn apply<B: Backend>(&self, backend: &B, params: &Params<B>, grads: &mut Grads<B>) -> Option<B::Scalar> {
        if self.is_none() {
            return None;
        }
        let penalised = |id: &ParamId| params.layout().entry(*id).shape.dims().len() >= 2;
        let ids: Vec<ParamId> = grads.written_ids().filter(penalised).collect();
        let mut values = Vec::new();
        for id in ids {
            values.push(backend.penalty(params.get(id).data, self.l1, self.l2));
            backend.penalty_add(grads.get_mut(id), params.get(id).data, self.l1, self.l2);
        }
        Some(backend.total(&values))
    }
}
