//! What every optimizer does: one step over the written gradients, and its state as plain numbers for a checkpoint.
//! It must not know models, data or files.

use ferrotune_tensor::{Backend, Grads, ParamId, Params, Role};
use std::collections::BTreeMap;

/// An optimizer over the parameters of one model.
pub trait Optimizer<B: Backend>: Send {
    /// The name, as a user writes it.
    fn name(&self) -> &'static str;

    /// One step for every parameter with a written gradient. `lr` is this step's learning rate; gradients are multiplied by
    /// `grad_scale` first (clipping). If that is not finite, values and moments stay as they are; with gradients by rows it must be finite.
    fn step(&mut self, backend: &B, params: &mut Params<B>, grads: &Grads<B>, lr: f64, grad_scale: &B::Scalar);

    /// Whether [`Grads::by_rows`] may be handed to [`Optimizer::step`]. If so, before each forward pass [`Optimizer::prepare`] is told
    /// which rows it reads, and [`Optimizer::settle`] comes before anything else reads the parameters.
    fn takes_rows(&self) -> bool {
        false
    }

    /// Brings rows of tables up to date that a forward pass is about to read.
    fn prepare(&mut self, backend: &B, params: &mut Params<B>, reads: &[(ParamId, Vec<u32>)]) {
        let _ = (backend, params, reads);
    }

    /// Brings all rows up to date.
    fn settle(&mut self, backend: &B, params: &mut Params<B>) {
        let _ = (backend, params);
    }

    /// Steps done.
    fn steps(&self) -> u64;

    /// Name and memory of each kind of moment, settled, laid out as the parameters are; only those of trainable parameters have values.
    fn moments(&self) -> Vec<(&'static str, &B::Buf)>;

    /// For each parameter that has had a gradient, the steps that were done before it; empty where an optimizer does not count them.
    fn starts(&self) -> BTreeMap<ParamId, u64> {
        BTreeMap::new()
    }

    /// The state in host memory: number of steps done, and per kind of moment its values for the trainable parameters in order.
    fn state(&self, backend: &B, params: &Params<B>) -> State {
        let moments = self.moments().into_iter().map(|(name, buf)| (name, download(backend, params, buf)));
        State { steps: self.steps(), starts: self.starts(), moments: moments.collect() }
    }

    /// Puts a state back.
    ///
    /// # Errors
    /// A sentence, if the state is of another optimizer or another set of trainable parameters.
    fn restore(&mut self, backend: &B, params: &Params<B>, state: &State) -> Result<(), String>;
}

/// The numbers of an optimizer, as a checkpoint keeps them.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps done.
    pub steps: u64,
    /// What [`Optimizer::starts`] gave.
    pub starts: BTreeMap<ParamId, u64>,
    /// Name and values of each kind of moment.
    pub moments: Vec<(&'static str, Vec<f32>)>,
}

/// Memory of the parameters' shape, zero where parameters are trainable.
pub(crate) fn zeros<B: Backend>(backend: &B, params: &Params<B>) -> B::Buf {
    let mut buf = backend.alloc(params.layout().flat_len(), Role::OptimizerState);
    for id in params.trainable_ids() {
        backend.fill(B::slice_mut(&mut buf, params.layout().entry(id).range.clone()), 0.0);
    }
    buf
}

fn download<B: Backend>(backend: &B, params: &Params<B>, buf: &B::Buf) -> Vec<f32> {
    let part = |id| backend.download(B::slice(buf, params.layout().entry(id).range.clone()));
    params.trainable_ids().flat_map(part).collect()
}

/// Puts the moments back into `buffers`, which name them in order.
pub(crate) fn upload<B: Backend>(
    backend: &B,
    params: &Params<B>,
    state: &State,
    buffers: &mut [(&'static str, &mut B::Buf)],
) -> Result<(), String> {
    if state.moments.len() != buffers.len() {
        return Err(format!(
            "the state has {} kinds of moments, this optimizer {}",
            state.moments.len(),
            buffers.len()
        ));
    }
    let elements: usize = params.trainable_ids().map(|id| params.layout().entry(id).shape.len()).sum();
    for ((name, values), (wanted, buf)) in state.moments.iter().zip(buffers) {
        if name != wanted || values.len() != elements {
            let (got, n) = (name, values.len());
            return Err(format!("expected the moment `{wanted}` of {elements} values, got `{got}` of {n}"));
        }
        let mut at = 0;
        for id in params.trainable_ids() {
            let range = params.layout().entry(id).range.clone();
            let len = range.len();
            backend.upload(B::slice_mut(buf, range), &values[at..at + len]);
            at += len;
        }
    }
    Ok(())
}
