//! Cached rows in one tensor on the device: a batch gathers its rows there, and nothing passes through the host. Must not know files.

use super::distinct;
use crate::model::FrozenPrefix;
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, Params, Pool, Tape, Tensor};

/// Hidden states of the rows of one split.
pub(super) struct OnDevice<B: Backend> {
    /// `(positions of all rows, width)`; zero where nothing was computed yet.
    all: Tensor<B>,
    /// Where each row begins, and where the last ends.
    starts: Vec<u32>,
    is_there: Vec<bool>,
    width: usize,
}

impl<B: Backend> OnDevice<B> {
    /// Room for rows of so many numbers.
    pub fn new(backend: &B, lengths: &[usize], width: usize) -> OnDevice<B> {
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + (length / width) as u32);
        }
        let mut all = Tensor::on(backend, [starts[lengths.len()] as usize, width]);
        backend.fill(all.data_mut(), 0.0);
        OnDevice { all, starts, is_there: vec![false; lengths.len()], width }
    }

    /// The places of these rows, in their order.
    fn positions(&self, rows: &[usize]) -> Vec<u32> {
        rows.iter().flat_map(|&row| self.starts[row]..self.starts[row + 1]).collect()
    }

    /// The hidden states of `rows`, one below the other; those that are not there are computed and kept.
    pub fn hidden(
        &mut self,
        backend: &B,
        prefix: &dyn FrozenPrefix<B>,
        params: &Params<B>,
        pool: &mut Pool<B>,
        encoded: &Encoded,
        rows: &[usize],
    ) -> Tensor<B> {
        let missing = distinct(rows.iter().copied().filter(|&row| !self.is_there[row]));
        if !missing.is_empty() {
            let places = self.positions(&missing);
            let mut tape = Tape::inference(backend, params, pool);
            let computed = prefix.hidden(&mut tape, &Batch::gather(encoded, &missing));
            let values = tape.get(computed).data;
            // What is added to are zeros, and each row is added once.
            backend.gather_rows_backward(Some((self.all.data_mut(), 1.0)), values, &places, self.width);
            missing.iter().for_each(|&row| self.is_there[row] = true);
        }
        let places = self.positions(rows);
        let mut hidden = pool.take([places.len(), self.width]);
        backend.gather_rows(hidden.data_mut(), self.all.data(), &places, self.width);
        hidden
    }
}
