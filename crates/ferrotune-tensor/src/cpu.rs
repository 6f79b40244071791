//! The CPU backend: 64-byte aligned memory and calls of the kernels. It holds a precision and no other state, and knows no op.

use crate::backend::{
    AdamW, AddNorm, AddNormGrads, Attention, Backend, HeadProducts, LinearDims, LinearGrads, Relative, Role, Rotary,
    Target,
};
use crate::{Mask, Pool};
use ferrotune_kernels as kernels;
use ferrotune_kernels::matmul::{Dims, Epilogue, Layout, matmul, scratch_len};
use std::ops::Range;

pub use kernels::matmul::Precision;

/// The processor that runs the program, through rayon. It holds nothing but the precision of its matrix products.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    precision: Precision,
}

/// The processor in f32: `Cpu` as a value, as well as a type.
#[allow(non_upper_case_globals, reason = "the usual device is written as its type is")]
pub const Cpu: Cpu = Cpu { precision: Precision::F32 };

impl Cpu {
    /// The processor with linear layers in this precision, forward and backward; none if it lacks the instructions. Memory, sums and all
    /// other functions stay f32.
    pub fn with(precision: Precision) -> Option<Cpu> {
        precision.is_available(kernels::isa::current()).then_some(Cpu { precision })
    }

    /// The precision of linear layers.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// Memory that starts at a cache line: a vector with a little slack in front.
pub struct CpuBuf {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

const CACHE_LINE: usize = 64;

impl CpuBuf {
    fn new(len: usize) -> CpuBuf {
        // Zeroed pages come from the system untouched: memory that is never used (gradients of frozen layers) costs nothing.
        let memory = vec![0.0; len + CACHE_LINE / size_of::<f32>()];
        let start = memory.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE / size_of::<f32>());
        CpuBuf { memory, start, len }
    }
}

/// The same words in the kernels' struct.
fn attention_input<'a, 'd>(input: Attention<'a, 'd, Cpu>) -> kernels::attention::Input<'a> {
    let Attention { sources, query_offsets, offsets, dims, scale, mask, window, relative } = input;
    let relative = relative.map(|Relative { by_query, by_key, buckets }| kernels::attention::Relative {
        by_query,
        by_key,
        buckets,
    });
    kernels::attention::Input { sources, query_offsets, offsets, dims, scale, mask, window, relative }
}

impl Backend for Cpu {
    type Buf = CpuBuf;
    type Ref<'a> = &'a [f32];
    type Mut<'a> = &'a mut [f32];
    type Awake = kernels::par::Awake;
    type Scalar = f64;

    fn awake(&self) -> Self::Awake {
        kernels::par::Awake::new()
    }

    fn scalar(&self, x: &[f32]) -> f64 {
        f64::from(x[0])
    }
    fn read(&self, x: &f64) -> f64 {
        *x
    }
    fn total(&self, x: &[f64]) -> f64 {
        x.iter().sum()
    }
    fn norm(&self, parts: &[&[f32]]) -> f64 {
        parts.iter().map(|x| kernels::norm::sum_squares(x)).sum::<f64>().sqrt()
    }
    fn clip_factor(&self, norm: &f64, most: Option<f64>) -> f64 {
        let factor = most.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        if norm.is_finite() { factor } else { f64::NAN }
    }

    fn alloc(&self, len: usize, _role: Role) -> CpuBuf {
        CpuBuf::new(len)
    }
    fn capacity(buf: &CpuBuf) -> usize {
        buf.len
    }
    fn slice(buf: &CpuBuf, range: Range<usize>) -> &[f32] {
        &buf.memory[buf.start + range.start..buf.start + range.end]
    }
    fn slice_mut(buf: &mut CpuBuf, range: Range<usize>) -> &mut [f32] {
        &mut buf.memory[buf.start + range.start..buf.start + range.end]
    }
    fn split_mut<'a>(memory: &'a mut [f32], at: usize) -> (&'a mut [f32], &'a mut [f32])
    where
        // Makes the lifetime early-bound, as it is in the trait, where it occurs in associated types alone.
        'a: 'a,
    {
        memory.split_at_mut(at)
    }
    fn upload(&self, to: &mut [f32], host: &[f32]) {
        to.copy_from_slice(host);
    }
    fn download(&self, from: &[f32]) -> Vec<f32> {
        from.to_vec()
    }

    fn fill(&self, y: &mut [f32], value: f32) {
        kernels::elementwise::fill(y, value);
    }
    fn axpy(&self, y: &mut [f32], a: f32, x: &[f32]) {
        kernels::elementwise::axpy(y, a, x);
    }
    fn add(&self, y: &mut [f32], a: &[f32], b: &[f32]) {
        kernels::elementwise::add(y, a, b);
    }
    fn mul(&self, y: &mut [f32], a: &[f32], b: &[f32]) {
        kernels::elementwise::mul(y, a, b);
    }
    fn mul_backward(&self, dx: Target<'_, Self>, dy: &[f32], other: &[f32]) {
        match dx {
            None => {}
            Some((dx, 0.0)) => kernels::elementwise::mul(dx, dy, other),
            Some((dx, _)) => dx.iter_mut().zip(dy.iter().zip(other)).for_each(|(dx, (dy, x))| *dx += dy * x),
        }
    }
    fn scale_into(&self, dx: Target<'_, Self>, k: f32, dy: &[f32]) {
        match dx {
            None => {}
            Some((dx, 0.0)) => dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = k * dy),
            Some((dx, _)) => kernels::elementwise::axpy(dx, k, dy),
        }
    }
    fn sum(&self, y: &mut [f32], k: f32, x: &[f32]) {
        y[0] = (f64::from(k) * x.iter().map(|&x| f64::from(x)).sum::<f64>()) as f32;
    }
    fn sum_backward(&self, dx: Target<'_, Self>, k: f32, dy: &[f32]) {
        let g = k * dy[0];
        match dx {
            None => {}
            Some((dx, 0.0)) => dx.fill(g),
            Some((dx, _)) => dx.iter_mut().for_each(|dx| *dx += g),
        }
    }

    fn linear(
        &self,
        pool: &mut Pool<Cpu>,
        y: &mut [f32],
        pre: Option<&mut [f32]>,
        x: &[f32],
        w: &[f32],
        b: Option<&[f32]>,
        d: LinearDims,
    ) {
        let dims = Dims { m: d.n, n: d.o, k: d.i };
        let mut scratch = pool.scratch(scratch_len(Layout::NT, dims));
        let epilogue = match (pre, b) {
            (Some(pre), Some(bias)) => Epilogue::BiasGelu { bias, pre },
            (Some(_), None) => panic!("linear: GELU needs a bias"),
            (None, Some(bias)) => Epilogue::Bias(bias),
            (None, None) => Epilogue::None,
        };
        matmul(self.precision, Layout::NT, dims, x, w, 0.0, y, epilogue, scratch.data_mut());
        pool.give(scratch);
    }
    fn linear_backward(
        &self,
        pool: &mut Pool<Cpu>,
        grads: LinearGrads<'_, Cpu>,
        dy: &[f32],
        x: &[f32],
        w: &[f32],
        d: LinearDims,
    ) {
        if let Some((dx, beta)) = grads.dx {
            let dims = Dims { m: d.n, n: d.i, k: d.o };
            let mut scratch = pool.scratch(scratch_len(Layout::NN, dims));
            matmul(self.precision, Layout::NN, dims, dy, w, beta, dx, Epilogue::None, scratch.data_mut());
            pool.give(scratch);
        }
        if let Some((dw, beta)) = grads.dw {
            let dims = Dims { m: d.o, n: d.i, k: d.n };
            let mut scratch = pool.scratch(scratch_len(Layout::TN, dims));
            matmul(self.precision, Layout::TN, dims, dy, x, beta, dw, Epilogue::None, scratch.data_mut());
            pool.give(scratch);
        }
        if let Some((db, beta)) = grads.db {
            let mut scratch = pool.scratch(kernels::column_sums::column_sums_scratch(d.n, d.o));
            kernels::column_sums::column_sums(dy, d.n, d.o, beta, db, scratch.data_mut());
            pool.give(scratch);
        }
    }

    fn add_norm(
        &self,
        y: &mut [f32],
        mean: &mut [f32],
        rstd: &mut [f32],
        input: AddNorm<'_, '_, Cpu>,
        bias: Option<&[f32]>,
        eps: f32,
    ) {
        let AddNorm { x, residual, gamma, mask, mask_rows, dims } = input;
        kernels::add_norm::forward(y, mean, rstd, x, residual, gamma, bias, eps, mask, mask_rows, dims);
    }
    fn add_norm_backward(
        &self,
        pool: &mut Pool<Cpu>,
        grads: AddNormGrads<'_, Cpu>,
        dy: &[f32],
        input: AddNorm<'_, '_, Cpu>,
        mean: &[f32],
        rstd: &[f32],
    ) {
        let AddNorm { x, residual, gamma, mask, mask_rows, dims } = input;
        let AddNormGrads { dx, dresidual, dgamma, dbias } = grads;
        let mut scratch = pool.scratch(kernels::add_norm::backward_scratch(dims));
        let targets = kernels::add_norm::AddNormGrads { dx, dresidual, dgamma, dbias };
        let scratch_data = scratch.data_mut();
        kernels::add_norm::backward(targets, dy, x, residual, gamma, mean, rstd, mask, mask_rows, dims, scratch_data);
        pool.give(scratch);
    }

    fn attention(&self, ctx: &mut [f32], lse: &mut [f32], input: Attention<'_, '_, Cpu>) {
        kernels::attention::forward(ctx, lse, attention_input(input));
    }
    fn attention_backward(
        &self,
        pool: &mut Pool<Cpu>,
        grads: &mut [Target<'_, Cpu>],
        dctx: &[f32],
        ctx: &[f32],
        lse: &[f32],
        input: Attention<'_, '_, Cpu>,
    ) {
        let input = attention_input(input);
        let mut scratch = pool.scratch(kernels::attention::backward_scratch(input.queries(), input.dims));
        kernels::attention::backward(grads, dctx, ctx, lse, input, scratch.data_mut());
        pool.give(scratch);
    }

    fn head_products(&self, y: &mut [f32], x: &[f32], p: &[f32], dims: HeadProducts) {
        kernels::attention::head_products::forward(y, x, p, dims);
    }
    fn head_products_backward(
        &self,
        dx: Target<'_, Self>,
        dp: Target<'_, Self>,
        dy: &[f32],
        x: &[f32],
        p: &[f32],
        dims: HeadProducts,
    ) {
        kernels::attention::head_products::backward(dx, dp, dy, x, p, dims);
    }

    fn rotary(&self, pool: &mut Pool<Cpu>, y: &mut [f32], x: &[f32], rotary: Rotary<'_>) {
        let mut scratch = pool.scratch(rotary.scratch());
        kernels::rotary::forward(y, x, rotary, scratch.data_mut());
        pool.give(scratch);
    }
    fn rotary_backward(&self, pool: &mut Pool<Cpu>, dx: Target<'_, Self>, dy: &[f32], rotary: Rotary<'_>) {
        let mut scratch = pool.scratch(rotary.scratch());
        kernels::rotary::backward(dx, dy, rotary, scratch.data_mut());
        pool.give(scratch);
    }

    fn embedding(&self, y: &mut [f32], tables: &[(&[f32], &[u32])], width: usize) {
        kernels::embedding::gather_sum(y, tables, width);
    }
    fn embedding_backward(&self, dtable: Target<'_, Self>, dy: &[f32], ids: &[u32], width: usize) {
        kernels::embedding::scatter_add(dtable, dy, ids, width, &mut Vec::with_capacity(ids.len()));
    }
    fn gather_rows(&self, y: &mut [f32], x: &[f32], rows: &[u32], width: usize) {
        kernels::rows::gather(y, x, rows, width);
    }
    fn gather_rows_backward(&self, dx: Target<'_, Self>, dy: &[f32], rows: &[u32], width: usize) {
        kernels::rows::scatter_add(dx, dy, rows, width);
    }

    fn sequence_means(&self, y: &mut [f32], x: &[f32], offsets: &[u32], width: usize) {
        kernels::sequence_means::forward(y, x, offsets, width);
    }
    fn sequence_means_backward(&self, dx: Target<'_, Self>, dy: &[f32], offsets: &[u32], width: usize) {
        kernels::sequence_means::backward(dx, dy, offsets, width);
    }

    fn dropout(&self, y: &mut [f32], x: &[f32], mask: Mask) {
        kernels::dropout::forward(y, x, mask);
    }
    fn dropout_backward(&self, dx: Target<'_, Self>, dy: &[f32], mask: Mask) {
        kernels::dropout::backward(dx, dy, mask);
    }
    fn gelu(&self, y: &mut [f32], x: &[f32]) {
        kernels::gelu::forward(y, x);
    }
    fn gelu_backward(&self, dx: Target<'_, Self>, dy: &[f32], x: &[f32]) {
        kernels::gelu::backward(dx, dy, x);
    }
    fn geglu(&self, y: &mut [f32], x: &[f32], width: usize) {
        kernels::geglu::forward(y, x, width);
    }
    fn geglu_backward(&self, dx: Target<'_, Self>, dy: &[f32], x: &[f32], width: usize) {
        kernels::geglu::backward(dx, dy, x, width);
    }
    fn tanh(&self, y: &mut [f32], x: &[f32]) {
        kernels::tanh::forward(y, x);
    }
    fn tanh_backward(&self, dx: Target<'_, Self>, dy: &[f32], y: &[f32]) {
        kernels::tanh::backward(dx, dy, y);
    }
    fn relu(&self, y: &mut [f32], x: &[f32]) {
        kernels::relu::forward(y, x);
    }
    fn relu_backward(&self, dx: Target<'_, Self>, dy: &[f32], y: &[f32]) {
        kernels::relu::backward(dx, dy, y);
    }
    fn softmax(&self, y: &mut [f32], x: &[f32], cols: usize) {
        kernels::softmax::forward(y, x, cols);
    }
    fn softmax_backward(&self, dx: Target<'_, Self>, dy: &[f32], y: &[f32], cols: usize) {
        kernels::softmax::backward(dx, dy, y, cols);
    }

    fn cross_entropy(
        &self,
        loss: &mut [f32],
        probabilities: &mut [f32],
        logits: &[f32],
        labels: &[u32],
        classes: usize,
        k: f32,
    ) {
        loss[0] = kernels::cross_entropy::forward(probabilities, logits, labels, classes, k);
    }
    fn cross_entropy_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: &[f32],
        probabilities: &[f32],
        labels: &[u32],
        classes: usize,
        k: f32,
    ) {
        kernels::cross_entropy::backward(dlogits, probabilities, labels, classes, k * dloss[0]);
    }
    fn binary_cross_entropy(&self, loss: &mut [f32], logits: &[f32], targets: &[f32], k: f32) {
        loss[0] = kernels::binary_cross_entropy::forward(logits, targets, k);
    }
    fn binary_cross_entropy_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: &[f32],
        logits: &[f32],
        targets: &[f32],
        k: f32,
    ) {
        kernels::binary_cross_entropy::backward(dlogits, logits, targets, k * dloss[0]);
    }

    fn weighted_cross_entropy(
        &self,
        loss: &mut [f32],
        logits: &[f32],
        labels: &[u32],
        weights: &[f32],
        smoothing: f32,
        k: f32,
    ) {
        loss[0] = kernels::weighted_cross_entropy::forward(logits, labels, weights, smoothing, k);
    }
    fn weighted_cross_entropy_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: &[f32],
        logits: &[f32],
        labels: &[u32],
        weights: &[f32],
        smoothing: f32,
        k: f32,
    ) {
        kernels::weighted_cross_entropy::backward(dlogits, logits, labels, weights, smoothing, k * dloss[0]);
    }
    fn focal(&self, loss: &mut [f32], logits: &[f32], labels: &[u32], weights: &[f32], gamma: f32, k: f32) {
        loss[0] = kernels::focal::forward(logits, labels, weights, gamma, k);
    }
    fn focal_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: &[f32],
        logits: &[f32],
        labels: &[u32],
        weights: &[f32],
        gamma: f32,
        k: f32,
    ) {
        kernels::focal::backward(dlogits, logits, labels, weights, gamma, k * dloss[0]);
    }
    fn binary_focal(&self, loss: &mut [f32], logits: &[f32], targets: &[f32], gamma: f32, k: f32) {
        loss[0] = kernels::binary_focal::forward(logits, targets, gamma, k);
    }
    fn binary_focal_backward(
        &self,
        dlogits: Target<'_, Self>,
        dloss: &[f32],
        logits: &[f32],
        targets: &[f32],
        gamma: f32,
        k: f32,
    ) {
        kernels::binary_focal::backward(dlogits, logits, targets, gamma, k * dloss[0]);
    }
    fn squared_error(&self, loss: &mut [f32], x: &[f32], targets: &[f32], k: f32) {
        loss[0] = kernels::squared_error::forward(x, targets, k);
    }
    fn squared_error_backward(&self, dx: Target<'_, Self>, dloss: &[f32], x: &[f32], targets: &[f32], k: f32) {
        kernels::squared_error::backward(dx, x, targets, k * dloss[0]);
    }
    fn huber(&self, loss: &mut [f32], x: &[f32], targets: &[f32], delta: f32, k: f32) {
        loss[0] = kernels::huber::forward(x, targets, delta, k);
    }
    fn huber_backward(&self, dx: Target<'_, Self>, dloss: &[f32], x: &[f32], targets: &[f32], delta: f32, k: f32) {
        kernels::huber::backward(dx, x, targets, delta, k * dloss[0]);
    }

    fn adamw(
        &self,
        p: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
        g: &[f32],
        parts: &[(Range<usize>, AdamW)],
        grad_scale: &f64,
    ) {
        if grad_scale.is_finite() {
            for (part, settings) in parts {
                let (p, m, v) = (&mut p[part.clone()], &mut m[part.clone()], &mut v[part.clone()]);
                kernels::adamw::step(p, m, v, &g[part.clone()], settings, *grad_scale as f32);
            }
        }
    }
    fn adamw_idle(
        &self,
        p: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
        width: usize,
        rows: &[(u32, u32)],
        steps: &[AdamW],
    ) {
        kernels::adamw::idle(p, m, v, width, rows, steps);
    }
    fn sgd(
        &self,
        p: &mut [f32],
        velocity: &mut [f32],
        g: &[f32],
        lr: f32,
        momentum: f32,
        weight_decay: f32,
        grad_scale: &f64,
    ) {
        if grad_scale.is_finite() {
            kernels::sgd::step(p, velocity, g, lr, momentum, weight_decay, *grad_scale as f32);
        }
    }
    fn penalty_add(&self, g: &mut [f32], p: &[f32], l1: f32, l2: f32) {
        kernels::elementwise::penalty_add(g, p, l1, l2);
    }
    fn anchor_add(&self, g: &mut [f32], p: &[f32], start: &[f32], k: f32) {
        kernels::elementwise::anchor_add(g, p, start, k);
    }
    fn anchor(&self, p: &[f32], start: &[f32], k: f32) -> f64 {
        kernels::elementwise::anchor_value(p, start, k)
    }
    fn penalty(&self, p: &[f32], l1: f32, l2: f32) -> f64 {
        kernels::elementwise::penalty_value(p, l1, l2)
    }
}
