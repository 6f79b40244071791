//! Gradients of parameters: one flat allocation of the parameters' shape, with a `written` mark for each, so that nothing is
//! zero-filled between steps. Knows no optimizer.

use crate::{Backend, Cpu, Layout, ParamId, Params, Role, View};
use std::ops::Range;
use std::sync::Arc;

/// The gradients of all parameters.
pub struct Grads<B: Backend = Cpu> {
    layout: Arc<Layout>,
    pub(crate) flat: B::Buf,
    pub(crate) written: Vec<bool>,
}

impl<B: Backend> Grads<B> {
    /// Room for the gradients of `params`, none of them written.
    pub fn new(backend: &B, params: &Params<B>) -> Grads<B> {
        let layout = params.layout().clone();
        Grads {
            flat: backend.alloc(layout.flat_len(), Role::Gradient),
            written: vec![false; layout.entries().len()],
            layout,
        }
    }

    /// Forgets all gradients without touching their memory: the next backward pass overwrites.
    pub fn clear(&mut self) {
        self.written.fill(false);
    }

    /// Whether a backward pass has written this gradient since the last [`Grads::clear`].
    pub fn is_written(&self, id: ParamId) -> bool {
        self.written[id.index()]
    }

    /// One gradient. Panics if it was not written: its memory holds no gradient then.
    #[track_caller]
    pub fn get(&self, id: ParamId) -> View<'_, B> {
        let entry = self.layout.entry(id);
        assert!(self.is_written(id), "grads: no gradient of `{}` was written since the last clear", entry.name);
        View { shape: entry.shape, data: B::slice(&self.flat, entry.range.clone()) }
    }

    /// One gradient for writing (penalties add to it). Panics if it was not written.
    #[track_caller]
    pub fn get_mut(&mut self, id: ParamId) -> B::Mut<'_> {
        let entry = self.layout.entry(id);
        assert!(self.written[id.index()], "grads: no gradient of `{}` was written since the last clear", entry.name);
        B::slice_mut(&mut self.flat, entry.range.clone())
    }

    /// Prepares the gradients of adjoining parameters to be written together; returns their place and the beta to write with.
    pub(crate) fn open(&mut self, backend: &B, ids: Range<usize>) -> (Range<usize>, f32) {
        let (_, range) = self.layout.joined(ids.clone());
        let written = ids.clone().filter(|&id| self.written[id]).count();
        if 0 < written && written < ids.len() {
            // Some were written alone before: the others start from zero, so that all can be added to.
            for id in ids.filter(|&id| !self.written[id]) {
                backend.fill(B::slice_mut(&mut self.flat, self.layout.entries()[id].range.clone()), 0.0);
            }
        }
        (range, if written == 0 { 0.0 } else { 1.0 })
    }

    /// The gradients that were written, in order.
    pub fn written_ids(&self) -> impl Iterator<Item = ParamId> + '_ {
        self.layout.ids().filter(|&id| self.is_written(id))
    }

    /// Gradient coverage: the names of trainable parameters that the last backward pass did not reach. A model in which this
    /// list is not empty does not learn there; training checks it on the first step.
    pub fn uncovered(&self, params: &Params<B>) -> Vec<String> {
        params.trainable_ids().filter(|&id| !self.is_written(id)).map(|id| self.layout.entry(id).name.clone()).collect()
    }
}
