//! The linear layer, with GELU fused where asked.

use super::inputs;
use crate::backend::{LinearDims, LinearGrads};
use crate::{Backend, Backward, Forward, Op, Pool, Slot, Tensor, View};

/// `y = x Wᵀ + b`, or `gelu(x Wᵀ + b)`: x `(n, i)`, W `(o, i)`, b `(o)`, y `(n, o)`. Without the third input `y = x Wᵀ`.
pub struct Linear<B: Backend> {
    gelu: bool,
    /// What GELU was applied to, `(n, o)`, for its backward.
    pre: Option<Tensor<B>>,
}

impl<B: Backend> Linear<B> {
    /// A linear layer without activation.
    pub fn new() -> Self {
        Linear { gelu: false, pre: None }
    }

    /// A linear layer with a bias, followed by the exact GELU.
    pub fn with_gelu() -> Self {
        Linear { gelu: true, pre: None }
    }
}

impl<B: Backend> Default for Linear<B> {
    fn default() -> Self {
        Linear::new()
    }
}

#[track_caller]
fn dims<B: Backend>(x: &[View<'_, B>]) -> LinearDims {
    let (x, bias) = x.split_at(x.len().min(2));
    let [x, w] = inputs("linear", x);
    let o = w.shape.expect_matrix("linear", "weight", x.shape.width());
    assert!(bias.len() <= 1, "linear: expected 2 or 3 inputs, got {}", 2 + bias.len());
    if let Some(b) = bias.first() {
        b.shape.expect("linear", "bias", &[o]);
    }
    LinearDims { n: x.shape.rows(), i: x.shape.width(), o }
}

impl<B: Backend> Op<B> for Linear<B> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let d = dims(cx.x);
        let mut y = cx.pool.take([d.n, d.o]);
        self.pre = self.gelu.then(|| cx.pool.take([d.n, d.o]));
        let pre = self.pre.as_mut().map(Tensor::data_mut);
        let bias = cx.x.get(2).map(|bias| bias.data);
        assert!(!self.gelu || bias.is_some(), "linear: GELU needs a bias");
        cx.backend.linear(cx.pool, y.data_mut(), pre, cx.x[0].data, cx.x[1].data, bias, d);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let d = dims(cx.x);
        let [dx, dw, db @ ..] = cx.dx else { unreachable!("linear has two or three inputs") };
        let grads = LinearGrads { dx: dx.target(), dw: dw.target(), db: db.first_mut().and_then(Slot::target) };
        let (x, w) = (cx.x[0].data, cx.x[1].data);
        match &self.pre {
            None => cx.backend.linear_backward(cx.pool, grads, cx.dy.data, x, w, d),
            Some(pre) => {
                let mut dpre = cx.pool.take(pre.shape);
                cx.backend.gelu_backward(Some((dpre.data_mut(), 0.0)), cx.dy.data, pre.data());
                cx.backend.linear_backward(cx.pool, grads, dpre.data(), x, w, d);
                cx.pool.give(dpre);
            }
        }
    }

    fn release(&mut self, pool: &mut Pool<B>) {
        self.pre.take().into_iter().for_each(|tensor| pool.give(tensor));
    }
}
