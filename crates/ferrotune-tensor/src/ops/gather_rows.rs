//! Selected rows of a matrix: the first token of each sequence.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y[r] = x[rows[r]]`: x `(n, h)`, y `(rows, h)`. The rows are distinct.
pub struct GatherRows {
    /// Which rows.
    pub rows: Vec<u32>,
}

impl<B: Backend> Op<B> for GatherRows {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("gather_rows", cx.x);
        let (n, width) = (x.shape.rows(), x.shape.width());
        if let Some(row) = self.rows.iter().find(|&&row| row as usize >= n) {
            panic!("gather_rows: row {row} of a tensor of {n} rows");
        }
        let mut y = cx.pool.take([self.rows.len(), width]);
        cx.backend.gather_rows(y.data_mut(), x.data, &self.rows, width);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let width = cx.y.shape.width();
        cx.backend.gather_rows_backward(cx.dx[0].target(), cx.dy.data, &self.rows, width);
    }
}
