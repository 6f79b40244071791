//! The gated GELU (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y = gelu(a)·b` for `x = a|b` by columns, with the exact GELU: x `(n, 2w)`, y `(n, w)`.
pub struct Geglu;

impl<B: Backend> Op<B> for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("geglu", cx.x);
        let width = x.shape.width();
        assert!(width.is_multiple_of(2), "geglu: width {width} is not even");
        let mut y = cx.pool.take([x.shape.rows(), width / 2]);
        cx.backend.geglu(y.data_mut(), x.data, width / 2);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        cx.backend.geglu_backward(cx.dx[0].target(), cx.dy.data, cx.x[0].data, cx.y.shape.width());
    }
}
