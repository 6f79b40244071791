//! Residual + dropout + layer norm, the joint between the parts of an encoder layer (Ba et al. 2016,
//! <https://arxiv.org/abs/1607.06450>).

use super::inputs;
use crate::backend::{AddNorm as Input, AddNormGrads, NormDims};
use crate::{Backend, Backward, Forward, Mask, Op, Pool, Tensor, View};
use std::sync::Arc;

/// `y = LN(residual + dropout(x))·gamma + bias`. Inputs: x `(n, h)`, gamma `(h)`, bias `(h)` if there is one, and the residual `(n, h)` last
/// if there is one.
pub struct AddNorm<B: Backend> {
    eps: f32,
    has_bias: bool,
    mask: Mask,
    mask_rows: Option<Arc<[u32]>>,
    /// Mean and 1/σ of each row, `(n)` each.
    saved: Option<(Tensor<B>, Tensor<B>)>,
}

impl<B: Backend> AddNorm<B> {
    /// `eps` is added to the variance; `mask` drops elements of x.
    pub fn new(eps: f32, mask: Mask) -> Self {
        AddNorm { eps, has_bias: true, mask, mask_rows: None, saved: None }
    }

    /// A layer norm that scales and does not shift: without the input for the bias.
    pub fn without_bias(self) -> Self {
        AddNorm { has_bias: false, ..self }
    }

    /// Row r of x takes the dropout of row `rows[r]`: x holds these rows of a larger matrix, in this order, and y and the gradients by x
    /// and the residual get the bits that they have there. (The gradients by gamma and bias sum over fewer rows, in other groups.)
    pub fn with_mask_rows(self, rows: Arc<[u32]>) -> Self {
        AddNorm { mask_rows: Some(rows), ..self }
    }

    /// Inputs before the residual.
    fn known(&self) -> usize {
        if self.has_bias { 3 } else { 2 }
    }

    #[track_caller]
    fn input<'a, 'd>(&'a self, x: &[View<'d, B>]) -> Input<'a, 'd, B> {
        let shape = x[0].shape;
        Input {
            x: x[0].data,
            residual: x.get(self.known()).map(|residual| residual.data),
            gamma: x[1].data,
            mask: self.mask,
            mask_rows: self.mask_rows.as_deref(),
            dims: NormDims { rows: shape.rows(), width: shape.width() },
        }
    }
}

impl<B: Backend> Op<B> for AddNorm<B> {
    fn name(&self) -> &'static str {
        "add_norm"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let (vectors, residual) = cx.x.split_at(cx.x.len().min(self.known()));
        let [x, gamma] = inputs("add_norm", &vectors[..vectors.len().min(2)]);
        gamma.shape.expect("add_norm", "gamma", &[x.shape.width()]);
        let bias = vectors.get(2).map(|bias| {
            bias.shape.expect("add_norm", "bias", &[x.shape.width()]);
            bias.data
        });
        assert!(residual.len() <= 1 && bias.is_some() == self.has_bias, "add_norm: got {} inputs", cx.x.len());
        if let Some(residual) = residual.first() {
            residual.shape.expect("add_norm", "residual", x.shape.dims());
        }
        let mut y = cx.pool.take(x.shape);
        let mut mean = cx.pool.take_statistic([x.shape.rows()]);
        let mut rstd = cx.pool.take_statistic([x.shape.rows()]);
        cx.backend.add_norm(y.data_mut(), mean.data_mut(), rstd.data_mut(), self.input(cx.x), bias, self.eps);
        self.saved = Some((mean, rstd));
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let (mean, rstd) = self.saved.as_ref().expect("forward ran before backward");
        let mut targets = cx.dx.iter_mut().map(|slot| slot.target());
        let mut next = || targets.next().flatten();
        let (dx, dgamma) = (next(), next());
        let dbias = if self.has_bias { next() } else { None };
        let grads = AddNormGrads { dx, dgamma, dbias, dresidual: next() };
        cx.backend.add_norm_backward(cx.pool, grads, cx.dy.data, self.input(cx.x), mean.data(), rstd.data());
    }

    fn release(&mut self, pool: &mut Pool<B>) {
        if let Some((mean, rstd)) = self.saved.take() {
            pool.give(mean);
            pool.give(rstd);
        }
    }
}
