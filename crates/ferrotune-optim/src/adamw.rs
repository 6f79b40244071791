//! AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>).

use crate::Groups;
use crate::optimizer::{Optimizer, State, upload, zeros};
use ferrotune_tensor::{Backend, Grads, Params, backend::AdamW as Settings};

/// Per step `t`, counted from 1, with gradient `g`:
/// `p −= lr·decay·p`, `m = β₁m + (1−β₁)g`, `v = β₂v + (1−β₂)g²`, `p −= lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)`.
/// The decay is multiplied by the learning rate, as in PyTorch.
pub struct AdamW<B: Backend> {
    beta1: f64,
    beta2: f64,
    eps: f64,
    groups: Groups,
    steps: u64,
    m: B::Buf,
    v: B::Buf,
}

/// The usual decay rates of the moments, and the usual ε.
pub const BETAS: (f64, f64) = (0.9, 0.999);
/// Added to the root of the second moment.
pub const EPS: f64 = 1e-8;

impl<B: Backend> AdamW<B> {
    /// An optimizer at step 0 for the trainable parameters.
    pub fn new(backend: &B, params: &Params<B>, groups: Groups, betas: (f64, f64), eps: f64) -> AdamW<B> {
        let (m, v) = (zeros(backend, params), zeros(backend, params));
        AdamW { beta1: betas.0, beta2: betas.1, eps, groups, steps: 0, m, v }
    }
}

impl<B: Backend> Optimizer<B> for AdamW<B> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn step(&mut self, backend: &B, params: &mut Params<B>, grads: &Grads<B>, lr: f64, grad_scale: f64) {
        self.steps += 1;
        let t = self.steps.min(i32::MAX as u64) as i32;
        let layout = params.layout().clone();
        for id in grads.written_ids() {
            let settings = Settings {
                lr: lr * self.groups.rate(id),
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: self.groups.decay(id),
                bias_correction1: 1.0 - self.beta1.powi(t),
                bias_correction2: 1.0 - self.beta2.powi(t),
            };
            let range = layout.entry(id).range.clone();
            let m = B::slice_mut(&mut self.m, range.clone());
            let v = B::slice_mut(&mut self.v, range);
            backend.adamw(params.get_mut(id), m, v, grads.get(id).data, &settings, grad_scale as f32);
        }
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn moments(&self) -> Vec<(&'static str, &B::Buf)> {
        vec![("adamw.m", &self.m), ("adamw.v", &self.v)]
    }

    fn restore(&mut self, backend: &B, params: &Params<B>, state: &State) -> Result<(), String> {
        upload(backend, params, state, &mut [("adamw.m", &mut self.m), ("adamw.v", &mut self.v)])?;
        self.steps = state.steps;
        Ok(())
    }
}
