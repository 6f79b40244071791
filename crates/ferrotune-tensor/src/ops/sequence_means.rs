//! The mean of the rows of each sequence.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};
use std::sync::Arc;

/// `y[s]` is the mean of the rows `offsets[s]..offsets[s + 1]`: x `(t, h)`, y `(sequences, h)`. No rows have the mean 0.
pub struct SequenceMeans {
    /// The first row of each sequence, and the end of the last one.
    pub offsets: Arc<[u32]>,
}

impl<B: Backend> Op<B> for SequenceMeans {
    fn name(&self) -> &'static str {
        "sequence_means"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("sequence_means", cx.x);
        let (rows, width) = (self.offsets.last().map_or(0, |&end| end as usize), x.shape.width());
        x.shape.expect("sequence_means", "x", &[rows, width]);
        let mut y = cx.pool.take([self.offsets.len() - 1, width]);
        cx.backend.sequence_means(y.data_mut(), x.data, &self.offsets, width);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let width = cx.y.shape.width();
        cx.backend.sequence_means_backward(cx.dx[0].target(), cx.dy.data, &self.offsets, width);
    }
}
