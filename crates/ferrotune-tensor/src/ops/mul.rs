//! Product of two tensors of one shape, element by element.

use super::inputs;
use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y = a · b`, `da = dy · b`, `db = dy · a`.
pub struct Mul;

impl<B: Backend> Op<B> for Mul {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [a, b] = inputs("mul", cx.x);
        b.shape.expect("mul", "b", a.shape.dims());
        let mut y = cx.pool.take(a.shape);
        cx.backend.mul(y.data_mut(), a.data, b.data);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let [da, db] = cx.dx else { unreachable!("mul has two inputs") };
        cx.backend.mul_backward(da.target(), cx.dy.data, cx.x[1].data);
        cx.backend.mul_backward(db.target(), cx.dy.data, cx.x[0].data);
    }
}
