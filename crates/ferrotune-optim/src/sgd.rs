//! Stochastic gradient descent with momentum, as `torch.optim.SGD` has it.
//! It must not know which parameter is what, nor where its learning rate comes from.

use crate::Groups;
use crate::optimizer::{Optimizer, State, upload, zeros};
use ferrotune_tensor::{Backend, Grads, Params};

/// `g += decay·p`, `velocity = momentum·velocity + g`, `p −= lr·velocity`.
pub struct Sgd<B: Backend> {
    momentum: f32,
    groups: Groups,
    steps: u64,
    velocity: B::Buf,
}

impl<B: Backend> Sgd<B> {
    /// An optimizer at step 0 for the trainable parameters. A momentum of 0 is plain gradient descent.
    pub fn new(backend: &B, params: &Params<B>, groups: Groups, momentum: f32) -> Sgd<B> {
        Sgd { momentum, groups, steps: 0, velocity: zeros(backend, params) }
    }
}

impl<B: Backend> Optimizer<B> for Sgd<B> {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn step(&mut self, backend: &B, params: &mut Params<B>, grads: &Grads<B>, lr: f64, grad_scale: &B::Scalar) {
        self.steps += 1;
        let layout = params.layout().clone();
        for id in grads.written_ids() {
            let velocity = B::slice_mut(&mut self.velocity, layout.entry(id).range.clone());
            let (g, decay) = (grads.get(id).data, self.groups.decay(id) as f32);
            let lr = (lr * self.groups.rate(id)) as f32;
            backend.sgd(params.get_mut(id), velocity, g, lr, self.momentum, decay, grad_scale);
        }
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn moments(&self) -> Vec<(&'static str, &B::Buf)> {
        vec![("sgd.velocity", &self.velocity)]
    }

    fn restore(&mut self, backend: &B, params: &Params<B>, state: &State) -> Result<(), String> {
        upload(backend, params, state, &mut [("sgd.velocity", &mut self.velocity)])?;
        self.steps = state.steps;
        Ok(())
    }
}
