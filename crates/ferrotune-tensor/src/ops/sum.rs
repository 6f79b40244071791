//! Weighted sum of all elements to a scalar.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Shape, Tensor};

/// `y = scale · Σ x`, and `dx = scale · dy`.
pub struct Sum {
    /// The factor; one over the number of elements gives the mean.
    pub scale: f32,
}

impl<B: Backend> Op<B> for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("sum", cx.x);
        let mut y = cx.pool.take(Shape::scalar());
        cx.backend.sum(y.data_mut(), self.scale, x.data);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        cx.backend.sum_backward(cx.dx[0].target(), self.scale, cx.dy.data);
    }
}
