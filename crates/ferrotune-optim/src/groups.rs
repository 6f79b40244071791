//! Parameter groups: which parameters decay, and which learn at a rate of their own. A visible rule with printed counts. Must not know a model.

use ferrotune_tensor::layout::Entry;
use ferrotune_tensor::{Backend, ParamId, Params};

/// The weight decay of each parameter, and its share of the learning rate.
#[derive(Clone, Debug)]
pub struct Groups {
    decay: Vec<f64>,
    rate: Vec<f64>,
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
    /// Two groups: tensors of rank two and above (weights and embeddings) decay, vectors (biases and layer norms) and what is called a bias do not. It
    /// chooses the tensors of the reference scripts, which name `bias` and `LayerNorm`; a table that is called so is MPNet's.
    pub fn standard<B: Backend>(params: &Params<B>, weight_decay: f64) -> Groups {
        let decays = |entry: &Entry| entry.shape.dims().len() >= 2 && !entry.name.contains("bias");
        let of = |entry: &Entry| if decays(entry) { weight_decay } else { 0.0 };
        let decay: Vec<f64> = params.layout().entries().iter().map(of).collect();
        Groups { rate: vec![1.0; decay.len()], decay }
    }

    /// The same, with the learning rate of each parameter multiplied by `rate` of its name; rates of before are replaced.
    ///
    /// # Panics
    /// If a rate is negative or not finite.
    pub fn with_rates<B: Backend>(mut self, params: &Params<B>, rate: impl Fn(&str) -> f64) -> Groups {
        self.rate = params.layout().entries().iter().map(|entry| rate(&entry.name)).collect();
        let bad = self.rate.iter().position(|rate| !(rate.is_finite() && *rate >= 0.0));
        assert!(bad.is_none(), "groups: parameter {bad:?} has a learning rate of {:?}", bad.map(|bad| self.rate[bad]));
        self
    }

    /// The decay of one parameter.
    pub fn decay(&self, id: ParamId) -> f64 {
        self.decay[id.index()]
    }

    /// What the learning rate of one parameter is multiplied by.
    pub fn rate(&self, id: ParamId) -> f64 {
        self.rate[id.index()]
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
