//! The product with a low-rank matrix, as LoRA adds it to a linear layer (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>).

use super::inputs;
use crate::backend::{LinearDims, LinearGrads};
use crate::{Backend, Backward, Forward, Op, Pool, Tensor, View};

/// `y = scale·(x Aᵀ) Bᵀ`: x `(n, i)`, A `(r, i)`, B `(o, r)`, y `(n, o)`. The `o × i` matrix `B A` is never formed.
pub struct LowRank<B: Backend> {
    scale: f32,
    /// `scale·x Aᵀ`, `(n, r)`, for the gradient of B.
    inner: Option<Tensor<B>>,
}

impl<B: Backend> LowRank<B> {
    /// A product with this factor; LoRA's is `alpha / r`.
    pub fn new(scale: f32) -> Self {
        LowRank { scale, inner: None }
    }
}

/// Sizes of the two products, `x Aᵀ` and the one with Bᵀ.
#[track_caller]
fn dims<B: Backend>(x: &[View<'_, B>]) -> [LinearDims; 2] {
    let [x, a, b] = inputs("low_rank", x);
    let (n, i) = (x.shape.rows(), x.shape.width());
    let r = a.shape.expect_matrix("low_rank", "a", i);
    let o = b.shape.expect_matrix("low_rank", "b", r);
    [LinearDims { n, i, o: r }, LinearDims { n, i: r, o }]
}

/// `x Wᵀ`.
fn product<B: Backend>(backend: &B, pool: &mut Pool<B>, x: B::Ref<'_>, w: B::Ref<'_>, dims: LinearDims) -> Tensor<B> {
    let mut y = pool.take([dims.n, dims.o]);
    backend.linear(pool, y.data_mut(), None, x, w, None, dims);
    y
}

impl<B: Backend> Op<B> for LowRank<B> {
    fn name(&self) -> &'static str {
        "low_rank"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [first, second] = dims(cx.x);
        let unscaled = product(cx.backend, cx.pool, cx.x[0].data, cx.x[1].data, first);
        let mut inner = cx.pool.take([first.n, first.o]);
        cx.backend.scale_into(Some((inner.data_mut(), 0.0)), self.scale, unscaled.data());
        cx.pool.give(unscaled);
        let y = product(cx.backend, cx.pool, inner.data(), cx.x[2].data, second);
        self.inner = Some(inner);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let [first, second] = dims(cx.x);
        let [dx, da, db] = cx.dx else { unreachable!("low_rank has three inputs") };
        let inner = self.inner.as_ref().expect("forward came before");
        let (dy, b) = (cx.dy.data, cx.x[2].data);
        let by_b = LinearGrads { dx: None, dw: db.target(), db: None };
        cx.backend.linear_backward(cx.pool, by_b, dy, inner.data(), b, second);
        let mut dinner = cx.pool.take([first.n, first.o]);
        let by_inner = LinearGrads { dx: Some((dinner.data_mut(), 0.0)), dw: None, db: None };
        cx.backend.linear_backward(cx.pool, by_inner, dy, inner.data(), b, second);
        let mut dproduct = cx.pool.take([first.n, first.o]);
        cx.backend.scale_into(Some((dproduct.data_mut(), 0.0)), self.scale, dinner.data());
        cx.pool.give(dinner);
        let grads = LinearGrads { dx: dx.target(), dw: da.target(), db: None };
        cx.backend.linear_backward(cx.pool, grads, dproduct.data(), cx.x[0].data, cx.x[1].data, first);
        cx.pool.give(dproduct);
    }

    fn release(&mut self, pool: &mut Pool<B>) {
        self.inner.take().into_iter().for_each(|tensor| pool.give(tensor));
    }
}
