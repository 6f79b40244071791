//! AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>).
//! It must not know which parameter is what, nor where its learning rate comes from.

use crate::Groups;
use crate::idle::Idle;
use crate::optimizer::{Optimizer, State, upload, zeros};
use ferrotune_tensor::{Backend, Grads, ParamId, Params, backend::AdamW as Settings};
use std::collections::BTreeMap;

/// Per step `t`, counted from 1, with gradient `g`:
/// `p −= lr·decay·p`, `m = β₁m + (1−β₁)g`, `v = β₂v + (1−β₂)g²`, `p −= lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)`.
/// The decay is multiplied by the learning rate, as in PyTorch. A parameter counts its steps from its first gradient on, also as there: one that
/// was frozen for some epochs starts with `t` = 1.
///
/// With [`Grads::by_rows`], rows of a table without a gradient get their updates later: see `idle.rs`. The bits are the same.
pub struct AdamW<B: Backend> {
    beta1: f64,
    beta2: f64,
    eps: f64,
    groups: Groups,
    steps: u64,
    /// For each parameter that has had a gradient, the steps that were done before it.
    starts: BTreeMap<ParamId, u64>,
    m: B::Buf,
    v: B::Buf,
    /// What is owed to tables, by their place in the layout.
    idle: BTreeMap<ParamId, Idle>,
}

/// The usual decay rates of the moments.
pub const BETAS: (f64, f64) = (0.9, 0.999);
/// Added to the root of the second moment.
pub const EPS: f64 = 1e-8;

impl<B: Backend> AdamW<B> {
    /// An optimizer at step 0 for the trainable parameters.
    pub fn new(backend: &B, params: &Params<B>, groups: Groups, betas: (f64, f64), eps: f64) -> AdamW<B> {
        let (m, v) = (zeros(backend, params), zeros(backend, params));
        AdamW {
            beta1: betas.0,
            beta2: betas.1,
            eps,
            groups,
            steps: 0,
            starts: BTreeMap::new(),
            m,
            v,
            idle: BTreeMap::new(),
        }
    }

    /// Brings all rows of a table up to date.
    fn settle_table(&mut self, backend: &B, params: &mut Params<B>, id: ParamId) {
        if let Some(idle) = self.idle.get_mut(&id) {
            let (owed, steps) = idle.take_all();
            catch_up(backend, params, (&mut self.m, &mut self.v), id, &owed, &steps);
            params.set_owed(id, false);
        }
    }
}

/// Gives rows of a table the steps that they missed.
fn catch_up<B: Backend>(
    backend: &B,
    params: &mut Params<B>,
    (m, v): (&mut B::Buf, &mut B::Buf),
    id: ParamId,
    owed: &[(u32, u32)],
    steps: &[Settings],
) {
    if owed.is_empty() {
        return;
    }
    let (range, width) = {
        let entry = params.layout().entry(id);
        (entry.range.clone(), entry.shape.width())
    };
    let (m, v) = (B::slice_mut(m, range.clone()), B::slice_mut(v, range));
    backend.adamw_idle(params.get_mut(id), m, v, width, owed, steps);
}

impl<B: Backend> Optimizer<B> for AdamW<B> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn step(&mut self, backend: &B, params: &mut Params<B>, grads: &Grads<B>, lr: f64, grad_scale: &B::Scalar) {
        let before = self.steps;
        self.steps += 1;
        let layout = params.layout().clone();
        let mut full = Vec::new();
        let mut settings_of = BTreeMap::new();
        for id in grads.written_ids() {
            let start = *self.starts.entry(id).or_insert(before);
            let t = (self.steps - start).min(i32::MAX as u64) as i32;
            let settings = Settings {
                lr: lr * self.groups.rate(id),
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: self.groups.decay(id),
                bias_correction1: 1.0 - self.beta1.powi(t),
                bias_correction2: 1.0 - self.beta2.powi(t),
            };
            settings_of.insert(id, settings);
            let Some(rows) = grads.rows(id) else {
                self.settle_table(backend, params, id);
                continue;
            };
            let entry = layout.entry(id);
            let idle = self.idle.entry(id).or_insert_with(|| Idle::new(entry.shape.rows()));
            idle.enter(settings, rows, &entry.name);
            full.extend(idle.is_full().then_some(id));
            params.set_owed(id, true);
        }
        let parts: Vec<_> = grads.written_ranges().map(|(id, range)| (range, settings_of[&id])).collect();
        let all = 0..layout.flat_len();
        let (m, v) = (B::slice_mut(&mut self.m, all.clone()), B::slice_mut(&mut self.v, all));
        backend.adamw(params.flat_mut(), m, v, grads.flat(), &parts, grad_scale);
        full.into_iter().for_each(|id| self.settle_table(backend, params, id));
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn prepare(&mut self, backend: &B, params: &mut Params<B>, reads: &[(ParamId, Vec<u32>)]) {
        for (id, rows) in reads {
            if let Some(idle) = self.idle.get_mut(id) {
                let owed = idle.take_owed(rows.iter().copied());
                let steps = idle.steps();
                catch_up(backend, params, (&mut self.m, &mut self.v), *id, &owed, steps);
            }
        }
    }

    fn settle(&mut self, backend: &B, params: &mut Params<B>) {
        let tables: Vec<ParamId> = self.idle.keys().copied().collect();
        tables.into_iter().for_each(|id| self.settle_table(backend, params, id));
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn moments(&self) -> Vec<(&'static str, &B::Buf)> {
        assert!(self.idle.values().all(Idle::is_settled), "adamw: moments are read before they are settled");
        vec![("adamw.m", &self.m), ("adamw.v", &self.v)]
    }

    fn starts(&self) -> BTreeMap<ParamId, u64> {
        self.starts.clone()
    }

    fn restore(&mut self, backend: &B, params: &Params<B>, state: &State) -> Result<(), String> {
        upload(backend, params, state, &mut [("adamw.m", &mut self.m), ("adamw.v", &mut self.v)])?;
        self.steps = state.steps;
        self.starts = state.starts.clone();
        self.idle.clear();
        Ok(())
    }
}
