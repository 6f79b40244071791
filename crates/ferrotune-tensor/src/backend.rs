//! What a device must offer. A second device implements this trait and nothing else; ops, tape and model stay as they are.
//! The methods are layer-sized pairs: forward, then backward. It must not know the tape, or which model calls it.

use crate::{Mask, Pool};
use std::ops::Range;

pub use ferrotune_kernels::adamw::AdamW;
pub use ferrotune_kernels::add_norm::NormDims;
pub use ferrotune_kernels::attention::head_products::HeadProducts;
pub use ferrotune_kernels::attention::{AttentionDims, Buckets};
pub use ferrotune_kernels::rotary::Rotary;

/// Where a gradient goes: `None` if nobody wants it; beta 0 overwrites and never reads, beta 1 accumulates.
pub type Target<'a, B> = Option<(<B as Backend>::Mut<'a>, f32)>;

/// What a buffer is for. A backend may store activations in another precision than parameters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Outputs of ops and gradients of them.
    Activation,
    /// The flat parameters.
    Parameter,
    /// The flat gradients.
    Gradient,
    /// Moments of an optimizer.
    OptimizerState,
    /// Numbers that are few and read exactly: means, log-sum-exps, losses, probabilities, working memory.
    Statistic,
}

/// Sizes of a linear layer: `n` rows, `i` inputs, `o` outputs.
#[derive(Clone, Copy, Debug)]
pub struct LinearDims {
    /// Rows.
    pub n: usize,
    /// Inputs.
    pub i: usize,
    /// Outputs.
    pub o: usize,
}

/// Gradients of a linear layer: `dx (n, i)`, `dw (o, i)`, `db (o)`.
pub struct LinearGrads<'a, B: Backend> {
    /// By the input.
    pub dx: Target<'a, B>,
    /// By the weight.
    pub dw: Target<'a, B>,
    /// By the bias.
    pub db: Target<'a, B>,
}

/// What residual + dropout + layer norm reads.
pub struct AddNorm<'a, 'd, B: Backend> {
    /// The branch that dropout applies to, `(n, h)`.
    pub x: B::Ref<'d>,
    /// The residual, `(n, h)`; none for a plain layer norm.
    pub residual: Option<B::Ref<'d>>,
    /// Scale, `(h)`.
    pub gamma: B::Ref<'d>,
    /// Dropout of `x`.
    pub mask: Mask,
    /// The mask's row that each row of `x` takes; none for its own.
    pub mask_rows: Option<&'a [u32]>,
    /// Rows and width.
    pub dims: NormDims,
}

/// Gradients of residual + dropout + layer norm.
pub struct AddNormGrads<'a, B: Backend> {
    /// By the branch, `(n, h)`.
    pub dx: Target<'a, B>,
    /// By the residual, `(n, h)`.
    pub dresidual: Target<'a, B>,
    /// By the scale, `(h)`.
    pub dgamma: Target<'a, B>,
    /// By the shift, `(h)`.
    pub dbias: Target<'a, B>,
}

/// What ragged attention reads.
pub struct Attention<'a, 'd, B: Backend> {
    /// The matrices that hold queries, keys and values: `[q, k, v]`, `[q, k|v]` or `[q|k|v]`, where `|` puts columns side by side; each
    /// of the three is `heads·head_dim` wide.
    pub sources: &'a [B::Ref<'d>],
    /// The queries of sequence `s` are rows `query_offsets[s]..query_offsets[s + 1]` of q; they stand for its first tokens.
    pub query_offsets: &'a [u32],
    /// Its keys and values are rows `offsets[s]..offsets[s + 1]`.
    pub offsets: &'a [u32],
    /// Heads and their width.
    pub dims: AttentionDims,
    /// Factor of the scores, `1/√head_dim`.
    pub scale: f32,
    /// Dropout of the probabilities.
    pub mask: Mask,
    /// Tokens that a query sees to either side, if not all of its sequence.
    pub window: Option<u32>,
    /// What distances add to the scores, if anything.
    pub relative: Option<Relative<'a, 'd, B>>,
}

/// What distances add to the scores of attention: see `ferrotune_kernels::attention::Relative`.
pub struct Relative<'a, 'd, B: Backend> {
    /// By queries, `(queries, heads·buckets.count)`.
    pub by_query: B::Ref<'d>,
    /// By keys, `(t, heads·buckets.count)`.
    pub by_key: Option<B::Ref<'d>>,
    /// The bucket of each distance.
    pub buckets: Buckets<'a>,
}

impl<B: Backend> Clone for Relative<'_, '_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Relative<'_, '_, B> {}

/// A device: memory, and the layer-sized functions that ops are made of.
pub trait Backend: Send + Sync + Sized + 'static {
    /// Owned memory of f32.
    type Buf: Send + Sync;
    /// Borrowed memory: `&[f32]` on the CPU.
    type Ref<'a>: Copy + Send + Sync;
    /// Memory borrowed for writing: `&mut [f32]` on the CPU.
    type Mut<'a>: Send;
    /// What [`Backend::awake`] gives.
    type Awake;
    /// A number that may still be under way: a device computes it after the call has returned. `f64` on the CPU.
    type Scalar: Send + Sync;

    /// To be held while work comes without pauses (training, evaluation): the device may keep its threads from sleeping.
    fn awake(&self) -> Self::Awake;

    /// How many optimizer steps may be given to the device before the numbers of the first are read: 0 where work is done when a call
    /// returns. An optimizer step whose `grad_scale` is not finite leaves everything as it is.
    fn lag(&self) -> usize {
        0
    }
    /// Whether attention can score distances ([`Attention::relative`], [`Backend::head_products`]). A backend that cannot is not asked to.
    fn scores_distances(&self) -> bool {
        true
    }
    /// Whether gradients of tables by rows ([`Grads::by_rows`](crate::Grads::by_rows)) are faster than dense ones.
    fn prefers_rows(&self) -> bool {
        true
    }

    /// The first element of `x`.
    fn scalar(&self, x: Self::Ref<'_>) -> Self::Scalar;
    /// Waits for a number.
    fn read(&self, x: &Self::Scalar) -> f64;
    /// `Σ x`, in order.
    fn total(&self, x: &[Self::Scalar]) -> Self::Scalar;
    /// `√Σ x²` over all parts, in a fixed order and in f64.
    fn norm(&self, parts: &[Self::Ref<'_>]) -> Self::Scalar;
    /// The factor that brings a gradient of this norm to at most `most`: `min(1, most / (norm + 1e-6))`; without `most`, 1. It is not a
    /// number where the norm is none.
    fn clip_factor(&self, norm: &Self::Scalar, most: Option<f64>) -> Self::Scalar;

    /// Memory for at least `len` elements, contents unspecified.
    fn alloc(&self, len: usize, role: Role) -> Self::Buf;
    /// Roles of the same storage, a number of the device's own, may take each other's buffers.
    fn storage(&self, role: Role) -> usize {
        let _ = role;
        0
    }
    /// Elements that the buffer can hold.
    fn capacity(buf: &Self::Buf) -> usize;
    /// A part of a buffer.
    fn slice(buf: &Self::Buf, range: Range<usize>) -> Self::Ref<'_>;
    /// A part of a buffer for writing.
    fn slice_mut(buf: &mut Self::Buf, range: Range<usize>) -> Self::Mut<'_>;
    /// Splits writable memory in two.
    fn split_mut<'a>(memory: Self::Mut<'a>, at: usize) -> (Self::Mut<'a>, Self::Mut<'a>);
    /// Copies from the host.
    fn upload(&self, to: Self::Mut<'_>, host: &[f32]);
    /// Copies to the host.
    fn download(&self, from: Self::Ref<'_>) -> Vec<f32>;

    /// `y = value`.
    fn fill(&self, y: Self::Mut<'_>, value: f32);
    /// `y += a·x`.
    fn axpy(&self, y: Self::Mut<'_>, a: f32, x: Self::Ref<'_>);
    /// `y = a + b`.
    fn add(&self, y: Self::Mut<'_>, a: Self::Ref<'_>, b: Self::Ref<'_>);
    /// `y = a · b` element by element.
    fn mul(&self, y: Self::Mut<'_>, a: Self::Ref<'_>, b: Self::Ref<'_>);
    /// `dx = beta·dx + dy·other`, all of one length: the backward of `mul` for one side.
    fn mul_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, other: Self::Ref<'_>);
    /// `dx = beta·dx + k·dy`, the backward of everything linear.
    fn scale_into(&self, dx: Target<'_, Self>, k: f32, dy: Self::Ref<'_>);
    /// `y[0] = k·Σ x`.
    fn sum(&self, y: Self::Mut<'_>, k: f32, x: Self::Ref<'_>);
    /// `dx = beta·dx + k·dy[0]` for every element.
    fn sum_backward(&self, dx: Target<'_, Self>, k: f32, dy: Self::Ref<'_>);

    /// `y = x Wᵀ + b`, or without a bias `y = x Wᵀ`; with `pre`, which needs a bias, `pre = x Wᵀ + b` and `y = gelu(pre)`.
    fn linear(
        &self,
        pool: &mut Pool<Self>,
        y: Self::Mut<'_>,
        pre: Option<Self::Mut<'_>>,
        x: Self::Ref<'_>,
        w: Self::Ref<'_>,
        b: Option<Self::Ref<'_>>,
        dims: LinearDims,
    );
    /// Gradients of `x Wᵀ + b`.
    fn linear_backward(
        &self,
        pool: &mut Pool<Self>,
        grads: LinearGrads<'_, Self>,
        dy: Self::Ref<'_>,
        x: Self::Ref<'_>,
        w: Self::Ref<'_>,
        dims: LinearDims,
    );

    /// `y = LN(residual + dropout(x))·gamma + bias`, the bias being 0 where there is none, saving mean and 1/σ of each row.
    fn add_norm(
        &self,
        y: Self::Mut<'_>,
        mean: Self::Mut<'_>,
        rstd: Self::Mut<'_>,
        input: AddNorm<'_, '_, Self>,
        bias: Option<Self::Ref<'_>>,
        eps: f32,
    );
    /// Gradients of `add_norm`.
    fn add_norm_backward(
        &self,
        pool: &mut Pool<Self>,
        grads: AddNormGrads<'_, Self>,
        dy: Self::Ref<'_>,
        input: AddNorm<'_, '_, Self>,
        mean: Self::Ref<'_>,
        rstd: Self::Ref<'_>,
    );

    /// How many numbers attention keeps for its backward: the log-sum-exp of each row of scores, `(heads·queries)`, and behind them whatever the device
    /// would have to compute again.
    fn attention_saved(&self, input: Attention<'_, '_, Self>) -> usize {
        input.dims.heads * input.query_offsets.last().map_or(0, |&end| end as usize)
    }
    /// Ragged multi-head attention; saves in `lse` what [`Backend::attention_saved`] says. Backward gets it as it is.
    fn attention(&self, ctx: Self::Mut<'_>, lse: Self::Mut<'_>, input: Attention<'_, '_, Self>);
    /// Gradients of attention by recomputation, one target for each source and, behind them, for what distances add.
    fn attention_backward(
        &self,
        pool: &mut Pool<Self>,
        grads: &mut [Target<'_, Self>],
        dctx: Self::Ref<'_>,
        ctx: Self::Ref<'_>,
        lse: Self::Ref<'_>,
        input: Attention<'_, '_, Self>,
    );

    /// `y[t, h·n + i] = x[t] · p[i]` over the columns of head h: what each row of x has to say to each row of the table p.
    fn head_products(&self, y: Self::Mut<'_>, x: Self::Ref<'_>, p: Self::Ref<'_>, dims: HeadProducts);
    /// Gradients of `head_products`.
    fn head_products_backward(
        &self,
        dx: Target<'_, Self>,
        dp: Target<'_, Self>,
        dy: Self::Ref<'_>,
        x: Self::Ref<'_>,
        p: Self::Ref<'_>,
        dims: HeadProducts,
    );

    /// Turns the heads at the front of each row of x `(n, width)` by their positions, and copies what is behind them (see `ferrotune_kernels::rotary`).
    fn rotary(&self, pool: &mut Pool<Self>, y: Self::Mut<'_>, x: Self::Ref<'_>, rotary: Rotary<'_>);
    /// Gradient of `rotary`: the turn back.
    fn rotary_backward(&self, pool: &mut Pool<Self>, dx: Target<'_, Self>, dy: Self::Ref<'_>, rotary: Rotary<'_>);

    /// `y[t] = Σ table[ids[t]]` over the tables.
    fn embedding(&self, y: Self::Mut<'_>, tables: &[(Self::Ref<'_>, &[u32])], width: usize);
    /// Gradient of one embedding table `(v, width)`: `dtable[ids[t]] += dy[t]`, t ascending; at beta 0 all other rows become 0.
    fn embedding_backward(&self, dtable: Target<'_, Self>, dy: Self::Ref<'_>, ids: &[u32], width: usize);
    /// `y[r] = x[rows[r]]`.
    fn gather_rows(&self, y: Self::Mut<'_>, x: Self::Ref<'_>, rows: &[u32], width: usize);
    /// Gradient of `gather_rows`; `rows` are distinct.
    fn gather_rows_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, rows: &[u32], width: usize);

    /// `y[s]` is the mean of the rows `offsets[s]..offsets[s + 1]` of x `(n, width)`.
    fn sequence_means(&self, y: Self::Mut<'_>, x: Self::Ref<'_>, offsets: &[u32], width: usize);
    /// Gradient of `sequence_means`: each row gets its share of its sequence's.
    fn sequence_means_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, offsets: &[u32], width: usize);

    /// `y = dropout(x)`.
    fn dropout(&self, y: Self::Mut<'_>, x: Self::Ref<'_>, mask: Mask);
    /// Gradient of dropout.
    fn dropout_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, mask: Mask);
    /// `y = gelu(x)`, exact.
    fn gelu(&self, y: Self::Mut<'_>, x: Self::Ref<'_>);
    /// `dx = beta·dx + dy·gelu'(x)`.
    fn gelu_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, x: Self::Ref<'_>);
    /// `y = gelu(a)·b` for rows `a|b` of x `(n, 2·width)`.
    fn geglu(&self, y: Self::Mut<'_>, x: Self::Ref<'_>, width: usize);
    /// `dx = beta·dx + (dy·b·gelu'(a) | dy·gelu(a))`.
    fn geglu_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, x: Self::Ref<'_>, width: usize);
    /// `y = tanh(x)`.
    fn tanh(&self, y: Self::Mut<'_>, x: Self::Ref<'_>);
    /// `dx = beta·dx + dy·(1 − y²)`, y the output.
    fn tanh_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, y: Self::Ref<'_>);
    /// `y = max(x, 0)`.
    fn relu(&self, y: Self::Mut<'_>, x: Self::Ref<'_>);
    /// `dx = beta·dx + dy` where the output y is above 0, and nothing elsewhere.
    fn relu_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, y: Self::Ref<'_>);
    /// Softmax of each row of `cols` elements.
    fn softmax(&self, y: Self::Mut<'_>, x: Self::Ref<'_>, cols: usize);
    /// `dx = beta·dx + y·(dy − Σ y·dy)` for each row, y the output.
    fn softmax_backward(&self, dx: Target<'_, Self>, dy: Self::Ref<'_>, y: Self::Ref<'_>, cols: usize);

    /// `loss[0] = k·Σ −log softmax(logits)[label]`, saving the probabilities; these and logits `(n, classes)`, labels `(n)`, each below `classes`.
    fn cross_entropy(
        &self,
        loss: Self::Mut<'_>,
        probabilities: Self::Mut<'_>,
        logits: Self::Ref<'_>,
        labels: &[u32],
        classes: usize,
        k: f32,
    );
    /// `dlogits = beta·dlogits + k·dloss[0]·(probabilities − onehot(label))`.
    fn cross_entropy_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: Self::Ref<'_>,
        probabilities: Self::Ref<'_>,
        labels: &[u32],
        classes: usize,
        k: f32,
    );
    /// `loss[0] = k·Σ` binary cross-entropy of each logit with its target in `[0, 1]`, `(n)` both.
    fn binary_cross_entropy(&self, loss: Self::Mut<'_>, logits: Self::Ref<'_>, targets: &[f32], k: f32);
    /// `dlogits = beta·dlogits + k·dloss[0]·(σ(logit) − target)`.
    fn binary_cross_entropy_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: Self::Ref<'_>,
        logits: Self::Ref<'_>,
        targets: &[f32],
        k: f32,
    );

    /// `loss[0] = k·Σ` cross-entropy with a weight for each class and label smoothing: with `p = softmax(logits)`, `(n, classes)`, and e the
    /// smoothing `(1 − e)·weight[label]·(−log p[label]) + e/classes·Σ_j weight[j]·(−log p[j])`. Labels below the number of weights.
    fn weighted_cross_entropy(
        &self,
        loss: Self::Mut<'_>,
        logits: Self::Ref<'_>,
        labels: &[u32],
        weights: &[f32],
        smoothing: f32,
        k: f32,
    );
    /// The gradient of that, times `dloss[0]`, added to `beta·dlogits`.
    fn weighted_cross_entropy_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: Self::Ref<'_>,
        logits: Self::Ref<'_>,
        labels: &[u32],
        weights: &[f32],
        smoothing: f32,
        k: f32,
    );
    /// `loss[0] = k·Σ weight·(1 − p)^gamma·(−log p)` with `p = softmax(logits)[label]`; weight is that of the label, shapes as above.
    fn focal(&self, loss: Self::Mut<'_>, logits: Self::Ref<'_>, labels: &[u32], weights: &[f32], gamma: f32, k: f32);
    /// The gradient of that, times `dloss[0]`, added to `beta·dlogits`.
    fn focal_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: Self::Ref<'_>,
        logits: Self::Ref<'_>,
        labels: &[u32],
        weights: &[f32],
        gamma: f32,
        k: f32,
    );
    /// `loss[0] = k·Σ (1 − p)^gamma·(−log p)` with `p` the probability of each target, 0 or 1, from one logit.
    fn binary_focal(&self, loss: Self::Mut<'_>, logits: Self::Ref<'_>, targets: &[f32], gamma: f32, k: f32);
    /// The gradient of that, times `dloss[0]`, added to `beta·dlogits`.
    fn binary_focal_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: Self::Ref<'_>,
        logits: Self::Ref<'_>,
        targets: &[f32],
        gamma: f32,
        k: f32,
    );
    /// `loss[0] = k·Σ (x − target)²`.
    fn squared_error(&self, loss: Self::Mut<'_>, x: Self::Ref<'_>, targets: &[f32], k: f32);
    /// `dx = beta·dx + 2·k·dloss[0]·(x − target)`.
    fn squared_error_backward(
        &self,
        dx: Target<'_, Self>,
        dloss: Self::Ref<'_>,
        x: Self::Ref<'_>,
        targets: &[f32],
        k: f32,
    );
    /// `loss[0] = k·Σ` of Huber's error: `½r²` for residuals `r` up to `delta`, linear beyond.
    fn huber(&self, loss: Self::Mut<'_>, x: Self::Ref<'_>, targets: &[f32], delta: f32, k: f32);
    /// Gradient of Huber's error.
    fn huber_backward(
        &self,
        dx: Target<'_, Self>,
        dloss: Self::Ref<'_>,
        x: Self::Ref<'_>,
        targets: &[f32],
        delta: f32,
        k: f32,
    );

    /// One AdamW step for these ranges of p, m, v and g, which do not overlap, in one pass; the gradient is multiplied by `grad_scale` first.
    fn adamw(
        &self,
        p: Self::Mut<'_>,
        m: Self::Mut<'_>,
        v: Self::Mut<'_>,
        g: Self::Ref<'_>,
        parts: &[(Range<usize>, AdamW)],
        grad_scale: &Self::Scalar,
    );
    /// Several AdamW steps without a gradient for some rows of a table of `width`: row `rows[i].0` takes `steps[rows[i].1..]`, with the bits
    /// of [`Backend::adamw`] with a zero gradient. The rows are distinct.
    fn adamw_idle(
        &self,
        p: Self::Mut<'_>,
        m: Self::Mut<'_>,
        v: Self::Mut<'_>,
        width: usize,
        rows: &[(u32, u32)],
        steps: &[AdamW],
    );
    /// One SGD step with momentum: `d = grad_scale·g + weight_decay·p; velocity = momentum·velocity + d; p −= lr·velocity`; nothing where the scale is not
    /// finite.
    fn sgd(
        &self,
        p: Self::Mut<'_>,
        velocity: Self::Mut<'_>,
        g: Self::Ref<'_>,
        lr: f32,
        momentum: f32,
        weight_decay: f32,
        grad_scale: &Self::Scalar,
    );
    /// `g += l1·sign(p) + l2·p`.
    fn penalty_add(&self, g: Self::Mut<'_>, p: Self::Ref<'_>, l1: f32, l2: f32);
    /// `l1·Σ|p| + l2/2·Σp²`.
    fn penalty(&self, p: Self::Ref<'_>, l1: f32, l2: f32) -> Self::Scalar;
    /// `g = g + k·(p − start)`.
    fn anchor_add(&self, g: Self::Mut<'_>, p: Self::Ref<'_>, start: Self::Ref<'_>, k: f32);
    /// `k/2·Σ(p − start)²` in f64, in a fixed order.
    fn anchor(&self, p: Self::Ref<'_>, start: Self::Ref<'_>, k: f32) -> Self::Scalar;
}
