//! Hyperbolic tangent.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y = tanh(x)`, and `dx = (1 − y²)·dy`.
pub struct Tanh;

impl<B: Backend> Op<B> for Tanh {
    fn name(&self) -> &'static str {
        "tanh"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("tanh", cx.x);
        let mut y = cx.pool.take(x.shape);
        cx.backend.tanh(y.data_mut(), x.data);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        cx.backend.tanh_backward(cx.dx[0].target(), cx.dy.data, cx.y.data);
    }
}
