//! The exact GELU, `x·Φ(x)` (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>).

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y = x·Φ(x)` with the normal distribution function Φ through erf, not its tanh approximation.
pub struct Gelu;

impl<B: Backend> Op<B> for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("gelu", cx.x);
        let mut y = cx.pool.take(x.shape);
        cx.backend.gelu(y.data_mut(), x.data);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        cx.backend.gelu_backward(cx.dx[0].target(), cx.dy.data, cx.x[0].data);
    }
}
