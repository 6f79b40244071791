//! The parameters of a model: one flat allocation, names from a [`Layout`], and which of them are trained.
//! Knows no optimizer and reads no file.

use crate::{Backend, Cpu, Layout, ParamId, Role, View};
use std::ops::Range;
use std::sync::Arc;

/// Named tensors in one flat allocation. Shared by reference between tapes: a step of an optimizer needs `&mut`, which the
/// compiler refuses while a tape lives.
pub struct Params<B: Backend = Cpu> {
    layout: Arc<Layout>,
    flat: B::Buf,
    trainable: Vec<bool>,
    /// Whether an optimizer owes updates to some rows.
    owed: Vec<bool>,
}

impl<B: Backend> Params<B> {
    /// Allocates the parameters of `layout`, all zero and all trainable.
    pub fn zeros(backend: &B, layout: Layout) -> Params<B> {
        let mut flat = backend.alloc(layout.flat_len(), Role::Parameter);
        backend.fill(B::slice_mut(&mut flat, 0..layout.flat_len()), 0.0);
        let trainable = vec![true; layout.entries().len()];
        let owed = vec![false; layout.entries().len()];
        Params { layout: Arc::new(layout), flat, trainable, owed }
    }

    /// Allocates the parameters of `layout` with the starting values that it names.
    pub fn init(backend: &B, layout: Layout, seed: u64) -> Params<B> {
        let mut params = Params::zeros(backend, layout);
        for id in params.layout.ids() {
            params.reset(backend, id, seed);
        }
        params
    }

    /// Gives one parameter its starting values.
    pub fn reset(&mut self, backend: &B, id: ParamId, seed: u64) {
        let layout = self.layout.clone();
        let entry = layout.entry(id);
        let mut values = vec![0.0; entry.shape.len()];
        entry.init.write(&entry.name, seed, &mut values);
        self.set(backend, id, &values);
    }

    /// Names, shapes and places.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// One parameter, borrowed. Panics if an optimizer owes updates to some of its rows.
    #[track_caller]
    pub fn get(&self, id: ParamId) -> View<'_, B> {
        let entry = self.layout.entry(id);
        assert!(!self.owed[id.index()], "params: `{}` is read before the optimizer has settled it", entry.name);
        View { shape: entry.shape, data: B::slice(&self.flat, entry.range.clone()) }
    }

    /// Several parameters that adjoin, as one matrix or vector of all their rows.
    ///
    /// # Panics
    /// As [`Layout::joined`].
    #[track_caller]
    pub fn joined(&self, ids: Range<usize>) -> View<'_, B> {
        let (shape, range) = self.layout.joined(ids);
        View { shape, data: B::slice(&self.flat, range) }
    }

    /// One parameter's elements for writing.
    pub fn get_mut(&mut self, id: ParamId) -> B::Mut<'_> {
        B::slice_mut(&mut self.flat, self.layout.entry(id).range.clone())
    }

    /// Copies `values` into one parameter.
    #[track_caller]
    pub fn set(&mut self, backend: &B, id: ParamId, values: &[f32]) {
        let entry = self.layout.entry(id);
        assert!(
            values.len() == entry.shape.len(),
            "params: `{}` has shape {:?}, got {} values",
            entry.name,
            entry.shape,
            values.len()
        );
        backend.upload(self.get_mut(id), values);
    }

    /// The whole flat allocation. Panics if an optimizer owes updates to some rows.
    #[track_caller]
    pub fn flat(&self) -> B::Ref<'_> {
        self.assert_settled();
        B::slice(&self.flat, 0..self.layout.flat_len())
    }

    /// The whole flat allocation for writing (the optimizer's step); rows that are not settled may be inside.
    pub fn flat_mut(&mut self) -> B::Mut<'_> {
        B::slice_mut(&mut self.flat, 0..self.layout.flat_len())
    }

    /// Says whether some rows of a parameter lack updates that an optimizer has put off. Only a training pass may then read it, and
    /// only rows that were brought up to date before.
    pub fn set_owed(&mut self, id: ParamId, owed: bool) {
        self.owed[id.index()] = owed;
    }

    /// Whether an optimizer owes updates to some rows of one of these parameters.
    pub(crate) fn is_owed(&self, ids: Range<usize>) -> bool {
        self.owed[ids].contains(&true)
    }

    /// Panics, with a name, if an optimizer owes updates to a parameter.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        if let Some(owed) = self.owed.iter().position(|&owed| owed) {
            let name = &self.layout.entries()[owed].name;
            panic!("params: `{name}` is read before the optimizer has settled it");
        }
    }

    /// Whether the parameter is trained.
    pub fn is_trainable(&self, id: ParamId) -> bool {
        self.trainable[id.index()]
    }

    /// Freezes a parameter (`false`) or thaws it. A tape records no backward pass for what only frozen parameters feed.
    pub fn set_trainable(&mut self, id: ParamId, trainable: bool) {
        self.trainable[id.index()] = trainable;
    }

    /// The parameters that are trained, in order.
    pub fn trainable_ids(&self) -> impl Iterator<Item = ParamId> + '_ {
        self.layout.ids().filter(|&id| self.is_trainable(id))
    }
}
