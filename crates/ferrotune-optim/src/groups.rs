//! Parameter groups: which parameters weight decay and penalties apply to. A visible rule with printed counts.

use ferrotune_tensor::{Backend, ParamId, Params};

/// The weight decay of each parameter.
#[derive(Clone, Debug)]
pub struct Groups {
    decay: Vec<f64>,
}

/// How many parameters a group holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Named tensors.
    pub tensors: usize,
    /// Numbers in them.
    pub elements: usize,
}

impl Groups {
    /// Two groups: tensors of rank two and above (weights and embeddings) decay, vectors (biases and layer norms) do not. It is the
    /// rule of the reference scripts, which name `bias` and `LayerNorm`; in BERT the two rules choose the same tensors.
    pub fn standard<B: Backend>(params: &Params<B>, weight_decay: f64) -> Groups {
        let of = |rank: usize| if rank >= 2 { weight_decay } else { 0.0 };
        Groups { decay: params.layout().entries().iter().map(|entry| of(entry.shape.dims().len())).collect() }
    }

    /// The decay of one parameter.
    pub fn decay(&self, id: ParamId) -> f64 {
        self.decay[id.index()]
    }

    /// The trainable parameters of rank two and above, and the vectors: what decays and what does not.
    pub fn counts<B: Backend>(params: &Params<B>) -> [Count; 2] {
        let mut counts = [Count { tensors: 0, elements: 0 }; 2];
        for id in params.trainable_ids() {
            let shape = params.layout().entry(id).shape;
            let count = &mut counts[usize::from(shape.dims().len() < 2)];
            count.tensors += 1;
            count.elements += shape.len();
        }
        counts
    }
}
