//! Products of a matrix with a table, head by head: how attention's queries and keys score distances.

use super::inputs;
use crate::backend::{AttentionDims, HeadProducts as Dims};
use crate::{Backend, Backward, Forward, Op, Tensor, View};

/// `y[t, h·n + i] = x[t] · p[i]` over the columns of head h: x `(t, w)`, p `(n, w)`, y `(t, heads·n)`.
#[derive(Clone, Copy)]
pub struct HeadProducts {
    /// Heads, which divide w.
    pub heads: usize,
}

impl HeadProducts {
    /// Checks the shapes.
    #[track_caller]
    fn dims<B: Backend>(&self, x: View<'_, B>, p: View<'_, B>) -> Dims {
        let width = x.shape.width();
        let rows = x.shape.expect_matrix("head_products", "x", width);
        let table = p.shape.expect_matrix("head_products", "p", width);
        assert!(
            width.is_multiple_of(self.heads),
            "head_products: width {width} is no multiple of {} heads",
            self.heads
        );
        Dims { rows, table, heads: AttentionDims { heads: self.heads, head_dim: width / self.heads } }
    }
}

impl<B: Backend> Op<B> for HeadProducts {
    fn name(&self) -> &'static str {
        "head_products"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x, p] = inputs("head_products", cx.x);
        let dims = self.dims(x, p);
        let mut y = cx.pool.take([dims.rows, dims.width()]);
        cx.backend.head_products(y.data_mut(), x.data, p.data, dims);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let [x, p] = inputs("head_products", cx.x);
        let dims = self.dims(x, p);
        let [dx, dp] = cx.dx else { unreachable!("a slot for each input") };
        cx.backend.head_products_backward(dx.target(), dp.target(), cx.dy.data, x.data, p.data, dims);
    }
}
