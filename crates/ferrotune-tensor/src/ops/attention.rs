//! Multi-head attention over ragged sequences (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>), without padding and
//! without a mask of positions.

use crate::backend::{Attention as Input, AttentionDims, Buckets, Relative};
use crate::{Backend, Backward, Forward, Mask, Op, Pool, Slot, Tensor, View};
use std::sync::Arc;

/// `ctx[s,h] = dropout(softmax(q kᵀ/√d)) v` for each sequence `s` and head `h`.
///
/// With `w = heads·d` and `t` tokens the inputs are q, k and v `(t, w)` each; or q `(t, w)` and k and v side by side `(t, 2w)`; or all
/// three side by side `(t, 3w)`. The result is `(t, w)`. All three ways give the same bits.
///
/// With [`Distances`] there are inputs behind these, and `√d` divides the sum of product and what the distance adds.
pub struct Attention<B: Backend> {
    heads: usize,
    query_offsets: Arc<[u32]>,
    offsets: Arc<[u32]>,
    mask: Mask,
    window: Option<u32>,
    distances: Option<Distances>,
    /// Sums that make up a score, by which its factor falls.
    terms: usize,
    /// Log-sum-exp of each row of scores, `(heads·queries)`, from which backward computes the probabilities again, and what else the device keeps.
    lse: Option<Tensor<B>>,
}

/// Scores by distance: see `ferrotune_kernels::attention::Relative`. Attention reads them as inputs, by query `(queries, heads·count)` and, if there are such, by key
/// `(t, heads·count)`.
#[derive(Clone, Debug)]
pub struct Distances {
    /// The bucket of each distance of a key from its query, that of distance 0 in the middle.
    pub buckets: Arc<[u32]>,
    /// How many buckets there are.
    pub count: usize,
    /// Whether there are scores by key.
    pub by_key: bool,
}

impl<B: Backend> Attention<B> {
    /// The part of a mask of probabilities that begins at a token: for a pass that begins there in its batch.
    pub fn mask_from(mask: Mask, token: usize, heads: usize) -> Mask {
        mask.starting_at(ferrotune_kernels::attention::first_mask_element(token, heads))
    }

    /// Sequence `s` is rows `offsets[s]..offsets[s + 1]`; `mask` drops probabilities.
    pub fn new(heads: usize, offsets: Arc<[u32]>, mask: Mask) -> Self {
        Attention::with_queries(heads, offsets.clone(), offsets, mask)
    }

    /// Computes only the first tokens of each sequence: q and the result have rows `query_offsets[s]..query_offsets[s + 1]` for
    /// the first tokens of sequence `s`, with the bits that they have in the full computation, dropout included.
    pub fn with_queries(heads: usize, query_offsets: Arc<[u32]>, offsets: Arc<[u32]>, mask: Mask) -> Self {
        Attention { heads, query_offsets, offsets, mask, window: None, distances: None, terms: 1, lse: None }
    }

    /// Lets a query see the keys at most so many tokens away, to either side, and no others.
    pub fn within(self, window: Option<u32>) -> Self {
        Attention { window, ..self }
    }

    /// Adds scores by distance to the products, and divides their sum by `√(d·terms)`.
    pub fn by_distance(self, distances: Distances, terms: usize) -> Self {
        Attention { distances: Some(distances), terms, ..self }
    }

    /// How many heads there are.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Inputs behind the sources.
    fn numbers(&self) -> usize {
        self.distances.as_ref().map_or(0, |distances| 1 + usize::from(distances.by_key))
    }

    /// Checks the shapes; returns the width of a head.
    #[track_caller]
    fn head_dim(&self, x: &[View<'_, B>]) -> usize {
        let (x, numbers) = x.split_at(x.len().saturating_sub(self.numbers()));
        let blocks: &[usize] = [[3].as_slice(), &[1, 2], &[1, 1, 1]][x.len().clamp(1, 3) - 1];
        assert!(x.len() == blocks.len(), "attention: expected 1 to 3 inputs, got {}", x.len());
        let width = x[0].shape.width() / blocks[0];
        assert!(
            x[0].shape.width().is_multiple_of(self.heads * blocks[0]) && width > 0,
            "attention: width {} of input 0 is not {} x {} heads",
            x[0].shape.width(),
            blocks[0],
            self.heads
        );
        let ends = [&self.query_offsets, &self.offsets].map(|offsets| offsets.last().map_or(0, |&end| end as usize));
        for (index, (x, blocks)) in x.iter().zip(blocks).enumerate() {
            let rows = if index == 0 { ends[0] } else { ends[1] };
            x.shape.expect("attention", ["input 0", "input 1", "input 2"][index], &[rows, blocks * width]);
        }
        if let Some(distances) = &self.distances {
            for (x, (name, rows)) in numbers.iter().zip(["by query", "by key"].into_iter().zip(ends)) {
                x.shape.expect("attention", name, &[rows, self.heads * distances.count]);
            }
        }
        width / self.heads
    }

    /// What the backend reads.
    fn input<'a, 'd>(&'a self, x: &'a [B::Ref<'d>], head_dim: usize) -> Input<'a, 'd, B> {
        let (sources, numbers) = x.split_at(x.len() - self.numbers());
        let relative = self.distances.as_ref().map(|Distances { buckets, count, .. }| Relative {
            by_query: numbers[0],
            by_key: numbers.get(1).copied(),
            buckets: Buckets { of: buckets, count: *count },
        });
        Input {
            sources,
            query_offsets: &self.query_offsets,
            offsets: &self.offsets,
            dims: AttentionDims { heads: self.heads, head_dim },
            scale: 1.0 / ((head_dim * self.terms) as f32).sqrt(),
            mask: self.mask,
            window: self.window,
            relative,
        }
    }
}

impl<B: Backend> Op<B> for Attention<B> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let head_dim = self.head_dim(cx.x);
        let queries = cx.x[0].shape.rows();
        let mut ctx = cx.pool.take([queries, self.heads * head_dim]);
        let x: Vec<_> = cx.x.iter().map(|x| x.data).collect();
        let mut lse = cx.pool.take_statistic([cx.backend.attention_saved(self.input(&x, head_dim))]);
        cx.backend.attention(ctx.data_mut(), lse.data_mut(), self.input(&x, head_dim));
        self.lse = Some(lse);
        ctx
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let head_dim = self.head_dim(cx.x);
        let mut grads: Vec<_> = cx.dx.iter_mut().map(Slot::target).collect();
        let lse = self.lse.as_ref().expect("forward ran before backward");
        let x: Vec<_> = cx.x.iter().map(|x| x.data).collect();
        let input = self.input(&x, head_dim);
        cx.backend.attention_backward(cx.pool, &mut grads, cx.dy.data, cx.y.data, lse.data(), input);
    }

    fn release(&mut self, pool: &mut Pool<B>) {
        self.lse.take().into_iter().for_each(|tensor| pool.give(tensor));
    }
}
