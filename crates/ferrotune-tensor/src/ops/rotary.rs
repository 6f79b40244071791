//! Rotary positions: queries and keys turned by an angle for each position (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).

use super::inputs;
use crate::backend::Rotary as Turn;
use crate::{Backend, Backward, Forward, Op, Tensor};
use std::sync::Arc;

/// The first `heads` heads of each row turned by `positions·frequencies`, and the rest as it is: x and y `(n, w)`. A head is twice as wide as there are
/// frequencies; column i of its first half and column i of its second are one pair, as in `rotate_half` of transformers.
pub struct Rotary {
    /// Heads that are turned: those of queries and keys, if a row is `q|k|v`.
    pub heads: usize,
    /// The position of each row.
    pub positions: Arc<[u32]>,
    /// Radians from one position to the next, for each pair.
    pub frequencies: Arc<[f32]>,
}

impl Rotary {
    fn turn(&self, width: usize) -> Turn<'_> {
        Turn { positions: &self.positions, frequencies: &self.frequencies, heads: self.heads, width }
    }
}

impl<B: Backend> Op<B> for Rotary {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("rotary", cx.x);
        let (width, turned) = (x.shape.width(), 2 * self.heads * self.frequencies.len());
        x.shape.expect("rotary", "x", &[self.positions.len(), width]);
        assert!(turned <= width, "rotary: {turned} columns to turn of {width}");
        let mut y = cx.pool.take(x.shape);
        cx.backend.rotary(cx.pool, y.data_mut(), x.data, self.turn(width));
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let turn = self.turn(cx.y.shape.width());
        cx.backend.rotary_backward(cx.pool, cx.dx[0].target(), cx.dy.data, turn);
    }
}
