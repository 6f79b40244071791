//! Multi-head attention over ragged sequences (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>), without padding and
//! without a mask of positions.

use super::inputs;
use crate::backend::{Attention as Input, AttentionDims, AttentionGrads};
use crate::{Backend, Backward, Forward, Mask, Op, Pool, Tensor, View};
use std::sync::Arc;

/// `ctx[s,h] = dropout(softmax(q kᵀ/√d)) v` for each sequence `s` and head `h`: q, k, v and the result are `(t, heads·d)`.
pub struct Attention<B: Backend> {
    heads: usize,
    offsets: Arc<[u32]>,
    mask: Mask,
    /// Log-sum-exp of each row of scores, `(heads·t)`: backward computes the probabilities again from it.
    lse: Option<Tensor<B>>,
}

impl<B: Backend> Attention<B> {
    /// Sequence `s` is rows `offsets[s]..offsets[s + 1]`; `mask` drops probabilities.
    pub fn new(heads: usize, offsets: Arc<[u32]>, mask: Mask) -> Self {
        Attention { heads, offsets, mask, lse: None }
    }

    fn input<'a, 'd>(&'a self, x: &[View<'d, B>]) -> Input<'a, 'd, B> {
        let head_dim = x[0].shape.width() / self.heads;
        Input {
            q: x[0].data,
            k: x[1].data,
            v: x[2].data,
            offsets: &self.offsets,
            dims: AttentionDims { heads: self.heads, head_dim },
            scale: 1.0 / (head_dim as f32).sqrt(),
            mask: self.mask,
        }
    }
}

impl<B: Backend> Op<B> for Attention<B> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [q, k, v] = inputs("attention", cx.x);
        let tokens = q.shape.rows();
        k.shape.expect("attention", "k", q.shape.dims());
        v.shape.expect("attention", "v", q.shape.dims());
        assert!(
            q.shape.width().is_multiple_of(self.heads),
            "attention: width {} is not a multiple of {} heads",
            q.shape.width(),
            self.heads
        );
        assert!(
            self.offsets.last().copied() == Some(tokens as u32) && self.offsets.is_sorted(),
            "attention: offsets must rise to the {tokens} rows of q, got {:?}",
            self.offsets
        );
        let mut ctx = cx.pool.take(q.shape);
        let mut lse = cx.pool.take([self.heads * tokens]);
        cx.backend.attention(ctx.data_mut(), lse.data_mut(), self.input(cx.x));
        self.lse = Some(lse);
        ctx
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let [dq, dk, dv] = cx.dx else { unreachable!("attention has three inputs") };
        let grads = AttentionGrads { dq: dq.target(), dk: dk.target(), dv: dv.target() };
        let lse = self.lse.as_ref().expect("forward ran before backward");
        cx.backend.attention_backward(cx.pool, grads, cx.dy.data, cx.y.data, lse.data(), self.input(cx.x));
    }

    fn release(&mut self, pool: &mut Pool<B>) {
        self.lse.take().into_iter().for_each(|tensor| pool.give(tensor));
    }
}
