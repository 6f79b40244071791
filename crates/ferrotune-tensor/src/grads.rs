//! Gradients of parameters: one flat allocation of the parameters' shape, with a `written` mark for each, so that nothing is
//! zero-filled between steps. Where asked, the gradient of a table holds only the rows that a step read. Knows no optimizer.

use crate::layout::Entry;
use crate::{Backend, Cpu, Layout, ParamId, Params, Role, View};
use std::ops::Range;
use std::sync::Arc;

/// The gradients of all parameters.
pub struct Grads<B: Backend = Cpu> {
    layout: Arc<Layout>,
    pub(crate) flat: B::Buf,
    pub(crate) written: Vec<bool>,
    /// Whether tables may be written by rows.
    by_rows: bool,
    /// The rows that were written, ascending, of a gradient that is zero elsewhere and whose memory there holds nothing.
    rows: Vec<Option<Vec<u32>>>,
}

impl<B: Backend> Grads<B> {
    /// Room for the gradients of `params`, none of them written.
    pub fn new(backend: &B, params: &Params<B>) -> Grads<B> {
        let layout = params.layout().clone();
        Grads {
            flat: backend.alloc(layout.flat_len(), Role::Gradient),
            written: vec![false; layout.entries().len()],
            by_rows: false,
            rows: vec![None; layout.entries().len()],
            layout,
        }
    }

    /// The same, with tables written by rows: see [`Grads::rows`]. For optimizers that know what to do with the others.
    pub fn by_rows(backend: &B, params: &Params<B>) -> Grads<B> {
        Grads { by_rows: true, ..Grads::new(backend, params) }
    }

    /// Whether tables are written by rows.
    pub fn is_by_rows(&self) -> bool {
        self.by_rows
    }

    /// The rows that this gradient has, ascending, if it was written by rows; it is zero elsewhere. `None`: it is whole.
    pub fn rows(&self, id: ParamId) -> Option<&[u32]> {
        self.rows[id.index()].as_deref()
    }

    /// One of the rows of a gradient that was written by rows, or any row of a whole one.
    #[track_caller]
    pub fn row(&self, id: ParamId, row: u32) -> B::Ref<'_> {
        let entry = self.layout.entry(id);
        assert!(self.is_written(id), "grads: no gradient of `{}` was written since the last clear", entry.name);
        let there = self.rows(id).is_none_or(|rows| rows.binary_search(&row).is_ok());
        assert!(there, "grads: row {row} of `{}` was not written", entry.name);
        B::slice(&self.flat, row_range(entry, row))
    }

    /// Forgets all gradients without touching their memory: the next backward pass overwrites.
    pub fn clear(&mut self) {
        self.written.fill(false);
        self.rows.fill(None);
    }

    /// Whether a backward pass has written this gradient since the last [`Grads::clear`].
    pub fn is_written(&self, id: ParamId) -> bool {
        self.written[id.index()]
    }

    /// One gradient. Panics if it was not written, or by rows only: its memory holds no gradient then.
    #[track_caller]
    pub fn get(&self, id: ParamId) -> View<'_, B> {
        let entry = self.layout.entry(id);
        assert!(self.is_written(id), "grads: no gradient of `{}` was written since the last clear", entry.name);
        assert!(self.rows(id).is_none(), "grads: the gradient of `{}` was written by rows", entry.name);
        View { shape: entry.shape, data: B::slice(&self.flat, entry.range.clone()) }
    }

    /// The whole allocation, of which only what was written holds gradients.
    pub fn flat(&self) -> B::Ref<'_> {
        self.part(0..self.layout.flat_len())
    }

    /// A part of the allocation.
    pub fn part(&self, range: Range<usize>) -> B::Ref<'_> {
        B::slice(&self.flat, range)
    }

    /// The places in the allocation that were written, in order: of whole gradients, and of rows.
    pub fn written_ranges(&self) -> impl Iterator<Item = (ParamId, Range<usize>)> + '_ {
        self.written_ids().flat_map(|id| {
            let entry = self.layout.entry(id);
            let whole = self.rows(id).is_none().then(|| entry.range.clone());
            let rows = self.rows(id).unwrap_or_default().iter().map(|&row| row_range(entry, row));
            whole.into_iter().chain(rows).map(move |range| (id, range))
        })
    }

    /// One gradient for writing (penalties add to it). Panics if it was not written, or by rows only.
    #[track_caller]
    pub fn get_mut(&mut self, id: ParamId) -> B::Mut<'_> {
        let entry = self.layout.entry(id);
        assert!(self.written[id.index()], "grads: no gradient of `{}` was written since the last clear", entry.name);
        assert!(self.rows(id).is_none(), "grads: the gradient of `{}` was written by rows", entry.name);
        B::slice_mut(&mut self.flat, entry.range.clone())
    }

    /// Prepares a table's gradient to be added to in these rows, if it may be written by rows; returns its place.
    pub(crate) fn open_rows(&mut self, backend: &B, ids: Range<usize>, rows: &[u32]) -> Option<Range<usize>> {
        let id = ids.start;
        let whole = self.written[id] && self.rows[id].is_none();
        if !self.by_rows || ids.len() != 1 || whole {
            return None;
        }
        let mut union = self.rows[id].take().unwrap_or_default();
        let before = union.len();
        union.extend_from_slice(rows);
        // Those that are new start from zero.
        let mut fresh = union.split_off(before);
        fresh.sort_unstable();
        fresh.dedup();
        fresh.retain(|row| union.binary_search(row).is_err());
        let entry = &self.layout.entries()[id];
        for &row in &fresh {
            backend.fill(B::slice_mut(&mut self.flat, row_range(entry, row)), 0.0);
        }
        union.append(&mut fresh);
        union.sort_unstable();
        self.rows[id] = Some(union);
        Some(entry.range.clone())
    }

    /// Makes a gradient whole that was written by rows.
    fn fill_other_rows(&mut self, backend: &B, id: usize) {
        let Some(rows) = self.rows[id].take() else { return };
        let entry = &self.layout.entries()[id];
        let count = entry.shape.rows() as u32;
        for row in (0..count).filter(|row| rows.binary_search(row).is_err()) {
            backend.fill(B::slice_mut(&mut self.flat, row_range(entry, row)), 0.0);
        }
    }

    /// Prepares the gradients of adjoining parameters to be written together; returns their place and the beta to write with.
    pub(crate) fn open(&mut self, backend: &B, ids: Range<usize>) -> (Range<usize>, f32) {
        ids.clone().for_each(|id| self.fill_other_rows(backend, id));
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

/// The place of a row of a table in the flat allocation.
fn row_range(entry: &Entry, row: u32) -> Range<usize> {
    let start = entry.range.start + row as usize * entry.shape.width();
    start..start + entry.shape.width()
}
