//! Softmax over the last extent.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y[r] = exp(x[r]) / Σ exp(x[r])` for each row `r`, and `dx = y·(dy − Σ dy·y)`.
pub struct Softmax;

impl<B: Backend> Op<B> for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("softmax", cx.x);
        let mut y = cx.pool.take(x.shape);
        cx.backend.softmax(y.data_mut(), x.data, x.shape.width());
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        cx.backend.softmax_backward(cx.dx[0].target(), cx.dy.data, cx.y.data, cx.y.shape.width());
    }
}
