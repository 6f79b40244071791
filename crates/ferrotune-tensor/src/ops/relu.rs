//! The rectifier.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y = max(x, 0)`, and `dx = dy` where `y > 0`.
pub struct Relu;

impl<B: Backend> Op<B> for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("relu", cx.x);
        let mut y = cx.pool.take(x.shape);
        cx.backend.relu(y.data_mut(), x.data);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        cx.backend.relu_backward(cx.dx[0].target(), cx.dy.data, cx.y.data);
    }
}
