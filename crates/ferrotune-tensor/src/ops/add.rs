//! Sum of two tensors of one shape.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y = a + b`, and `da = db = dy`.
pub struct Add;

impl<B: Backend> Op<B> for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [a, b] = inputs("add", cx.x);
        b.shape.expect("add", "b", a.shape.dims());
        let mut y = cx.pool.take(a.shape);
        cx.backend.add(y.data_mut(), a.data, b.data);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        for slot in cx.dx {
            cx.backend.scale_into(slot.target(), 1.0, cx.dy.data);
        }
    }
}
