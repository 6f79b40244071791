//! The tensor core's Backend over a [`Device`]: which kernels an op takes. It must not know which device runs them.

use crate::device::{Device, Kind};
use crate::launch;
use crate::memory::{Buf, Mut, Ref};
use crate::scalar::{Scalar, Scalars};
use crate::words::{Tables, Words};
use ferrotune_tensor::backend::{
    AdamW, AddNorm, AddNormGrads, Attention, Backend, HeadProducts, LinearDims, LinearGrads, Role, Rotary, Target,
};
use ferrotune_tensor::{Mask, Pool};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How activations are stored and products computed. Parameters, gradients of parameters, moments, statistics and all sums are f32 in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32 throughout.
    F32,
    /// f32, of whose fractions products read 10 bits.
    Tf32,
    /// Activations are stored, and factors of products read, in bf16.
    Bf16,
}

/// A GPU, or what plays one. Copies are handles of the same device; buffers, scalars and pools are for the handles of the one that made them.
pub struct Gpu<D: Device>(Arc<Inner<D>>);

pub(crate) struct Inner<D: Device> {
    pub device: D,
    pub precision: Precision,
    words: Mutex<Words>,
    scalars: Arc<Scalars<D>>,
    /// Partial sums of reductions, from the launch that leaves them to the one that adds them.
    partials: Mutex<D::Memory>,
}

/// Steps that may be under way: enough that the device never waits for the host, few enough that a run which fails is soon over.
const LAG: usize = 8;

/// Bytes of [`Inner::partials`].
pub(crate) const PARTIALS: usize = 1 << 20;

impl<D: Device> Clone for Gpu<D> {
    fn clone(&self) -> Self {
        Gpu(self.0.clone())
    }
}

impl<D: Device> Gpu<D> {
    /// Computes on this device.
    pub fn new(device: D, precision: Precision) -> Gpu<D> {
        let partials = Mutex::new(device.alloc(PARTIALS));
        let (words, scalars) = (Mutex::new(Words::new()), Scalars::new());
        Gpu(Arc::new(Inner { device, precision, words, scalars, partials }))
    }

    /// The precision of activations and products.
    pub fn precision(&self) -> Precision {
        self.0.precision
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.0.device
    }

    /// For the host arrays that a launch reads: see `words.rs`. There is one at a time.
    pub(crate) fn tables(&self) -> Tables<'_, D> {
        Tables::new(&self.0.device, self.0.words.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn new_scalar(&self) -> Scalar<D> {
        self.0.scalars.take(&self.0.device)
    }

    /// [`PARTIALS`] bytes, for whoever holds the lock.
    pub(crate) fn partials(&self) -> MutexGuard<'_, D::Memory> {
        self.0.partials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kind(&self, role: Role) -> Kind {
        match (role, self.0.precision) {
            (Role::Activation, Precision::Bf16) => Kind::Bf16,
            _ => Kind::F32,
        }
    }
}

impl<D: Device> Backend for Gpu<D> {
    type Buf = Buf<D>;
    type Ref<'a> = Ref<'a>;
    type Mut<'a> = Mut<'a>;
    type Awake = ();
    type Scalar = Scalar<D>;

    fn awake(&self) {}
    fn lag(&self) -> usize {
        LAG
    }
    fn prefers_rows(&self) -> bool {
        false
    }

    fn alloc(&self, len: usize, role: Role) -> Buf<D> {
        let has_shadow = role == Role::Parameter && self.0.precision == Precision::Bf16;
        Buf::new(&self.0.device, len, self.kind(role), has_shadow)
    }
    fn storage(&self, role: Role) -> usize {
        usize::from(self.kind(role) == Kind::Bf16)
    }
    fn capacity(buf: &Buf<D>) -> usize {
        buf.capacity()
    }
    fn slice(buf: &Buf<D>, range: Range<usize>) -> Ref<'_> {
        buf.slice(range)
    }
    fn slice_mut(buf: &mut Buf<D>, range: Range<usize>) -> Mut<'_> {
        buf.slice_mut(range)
    }
    fn split_mut<'a>(memory: Mut<'a>, at: usize) -> (Mut<'a>, Mut<'a>)
    where
        // Makes the lifetime early-bound, as it is in the trait, where it occurs in associated types alone.
        'a: 'a,
    {
        memory.split(at)
    }
    fn upload(&self, to: Mut<'_>, host: &[f32]) {
        launch::copy::upload(self, to, host);
    }
    fn download(&self, from: Ref<'_>) -> Vec<f32> {
        launch::copy::download(self, from)
    }

    fn scalar(&self, x: Ref<'_>) -> Scalar<D> {
        launch::reduce::scalar(self, x)
    }
    fn read(&self, x: &Scalar<D>) -> f64 {
        launch::reduce::read(self, x)
    }
    fn total(&self, x: &[Scalar<D>]) -> Scalar<D> {
        launch::reduce::total(self, x)
    }
    fn norm(&self, parts: &[Ref<'_>]) -> Scalar<D> {
        launch::reduce::norm(self, parts)
    }
    fn clip_factor(&self, norm: &Scalar<D>, most: Option<f64>) -> Scalar<D> {
        launch::reduce::clip_factor(self, norm, most)
    }
    fn fill(&self, y: Mut<'_>, value: f32) {
        launch::elementwise::fill(self, y, value);
    }
    fn axpy(&self, y: Mut<'_>, a: f32, x: Ref<'_>) {
        launch::elementwise::axpy(self, y, a, x);
    }
    fn add(&self, y: Mut<'_>, a: Ref<'_>, b: Ref<'_>) {
        launch::elementwise::add(self, y, a, b);
    }
    fn mul(&self, y: Mut<'_>, a: Ref<'_>, b: Ref<'_>) {
        launch::elementwise::mul(self, y, a, b);
    }
    fn mul_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, other: Ref<'_>) {
        launch::elementwise::mul_backward(self, dx, dy, other);
    }
    fn scale_into(&self, dx: Target<'_, Gpu<D>>, k: f32, dy: Ref<'_>) {
        launch::elementwise::scale_into(self, dx, k, dy);
    }
    fn sum(&self, y: Mut<'_>, k: f32, x: Ref<'_>) {
        launch::reduce::sum(self, y, k, x);
    }
    fn sum_backward(&self, dx: Target<'_, Gpu<D>>, k: f32, dy: Ref<'_>) {
        launch::elementwise::sum_backward(self, dx, k, dy);
    }
    fn linear(
        &self,
        pool: &mut Pool<Gpu<D>>,
        y: Mut<'_>,
        pre: Option<Mut<'_>>,
        x: Ref<'_>,
        w: Ref<'_>,
        b: Option<Ref<'_>>,
        dims: LinearDims,
    ) {
        launch::linear::linear(self, pool, y, pre, x, w, b, dims);
    }
    fn linear_backward(
        &self,
        pool: &mut Pool<Gpu<D>>,
        grads: LinearGrads<'_, Gpu<D>>,
        dy: Ref<'_>,
        x: Ref<'_>,
        w: Ref<'_>,
        dims: LinearDims,
    ) {
        launch::linear::linear_backward(self, pool, grads, dy, x, w, dims);
    }
    fn add_norm(
        &self,
        y: Mut<'_>,
        mean: Mut<'_>,
        rstd: Mut<'_>,
        input: AddNorm<'_, '_, Gpu<D>>,
        bias: Option<Ref<'_>>,
        eps: f32,
    ) {
        launch::add_norm::add_norm(self, y, mean, rstd, input, bias, eps);
    }
    fn add_norm_backward(
        &self,
        pool: &mut Pool<Gpu<D>>,
        grads: AddNormGrads<'_, Gpu<D>>,
        dy: Ref<'_>,
        input: AddNorm<'_, '_, Gpu<D>>,
        mean: Ref<'_>,
        rstd: Ref<'_>,
    ) {
        launch::add_norm::add_norm_backward(self, pool, grads, dy, input, mean, rstd);
    }
    fn attention_saved(&self, input: Attention<'_, '_, Gpu<D>>) -> usize {
        launch::attention::attention_saved(input)
    }
    fn scores_distances(&self) -> bool {
        false
    }
    fn head_products(&self, _: Mut<'_>, _: Ref<'_>, _: Ref<'_>, _: HeadProducts) {
        launch::attention::no_distances();
    }
    fn head_products_backward(
        &self,
        _: Target<'_, Self>,
        _: Target<'_, Self>,
        _: Ref<'_>,
        _: Ref<'_>,
        _: Ref<'_>,
        _: HeadProducts,
    ) {
        launch::attention::no_distances();
    }
    fn attention(&self, ctx: Mut<'_>, lse: Mut<'_>, input: Attention<'_, '_, Gpu<D>>) {
        launch::attention::attention(self, ctx, lse, input);
    }
    fn attention_backward(
        &self,
        pool: &mut Pool<Gpu<D>>,
        grads: &mut [Target<'_, Gpu<D>>],
        dctx: Ref<'_>,
        ctx: Ref<'_>,
        lse: Ref<'_>,
        input: Attention<'_, '_, Gpu<D>>,
    ) {
        launch::attention::attention_backward(self, pool, grads, dctx, ctx, lse, input);
    }
    fn rotary(&self, _: &mut Pool<Gpu<D>>, y: Mut<'_>, x: Ref<'_>, rotary: Rotary<'_>) {
        launch::rotary::rotary(self, y, x, rotary);
    }
    fn rotary_backward(&self, _: &mut Pool<Gpu<D>>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, rotary: Rotary<'_>) {
        launch::rotary::rotary_backward(self, dx, dy, rotary);
    }
    fn embedding(&self, y: Mut<'_>, tables: &[(Ref<'_>, &[u32])], width: usize) {
        launch::embedding::embedding(self, y, tables, width);
    }
    fn embedding_backward(&self, dtable: Target<'_, Gpu<D>>, dy: Ref<'_>, ids: &[u32], width: usize) {
        launch::embedding::embedding_backward(self, dtable, dy, ids, width);
    }
    fn gather_rows(&self, y: Mut<'_>, x: Ref<'_>, rows: &[u32], width: usize) {
        launch::embedding::gather_rows(self, y, x, rows, width);
    }
    fn gather_rows_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, rows: &[u32], width: usize) {
        launch::embedding::gather_rows_backward(self, dx, dy, rows, width);
    }
    fn sequence_means(&self, y: Mut<'_>, x: Ref<'_>, offsets: &[u32], width: usize) {
        launch::sequence_means::sequence_means(self, y, x, offsets, width);
    }
    fn sequence_means_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, offsets: &[u32], width: usize) {
        launch::sequence_means::sequence_means_backward(self, dx, dy, offsets, width);
    }
    fn dropout(&self, y: Mut<'_>, x: Ref<'_>, mask: Mask) {
        launch::activation::dropout(self, y, x, mask);
    }
    fn dropout_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, mask: Mask) {
        launch::activation::dropout_backward(self, dx, dy, mask);
    }
    fn gelu(&self, y: Mut<'_>, x: Ref<'_>) {
        launch::activation::gelu(self, y, x);
    }
    fn gelu_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, x: Ref<'_>) {
        launch::activation::gelu_backward(self, dx, dy, x);
    }
    fn geglu(&self, y: Mut<'_>, x: Ref<'_>, width: usize) {
        launch::activation::geglu(self, y, x, width);
    }
    fn geglu_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, x: Ref<'_>, width: usize) {
        launch::activation::geglu_backward(self, dx, dy, x, width);
    }
    fn tanh(&self, y: Mut<'_>, x: Ref<'_>) {
        launch::activation::tanh(self, y, x);
    }
    fn tanh_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>) {
        launch::activation::tanh_backward(self, dx, dy, y);
    }
    fn relu(&self, y: Mut<'_>, x: Ref<'_>) {
        launch::activation::relu(self, y, x);
    }
    fn relu_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>) {
        launch::activation::relu_backward(self, dx, dy, y);
    }
    fn softmax(&self, y: Mut<'_>, x: Ref<'_>, cols: usize) {
        launch::softmax::softmax(self, y, x, cols);
    }
    fn softmax_backward(&self, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>, cols: usize) {
        launch::softmax::softmax_backward(self, dx, dy, y, cols);
    }
    fn cross_entropy(
        &self,
        loss: Mut<'_>,
        probabilities: Mut<'_>,
        logits: Ref<'_>,
        labels: &[u32],
        classes: usize,
        k: f32,
    ) {
        launch::losses::cross_entropy(self, loss, probabilities, logits, labels, classes, k);
    }
    fn cross_entropy_backward(
        &self,
        dlogits: Target<'_, Gpu<D>>,
        dloss: Ref<'_>,
        probabilities: Ref<'_>,
        labels: &[u32],
        classes: usize,
        k: f32,
    ) {
        launch::losses::cross_entropy_backward(self, dlogits, dloss, probabilities, labels, classes, k);
    }
    fn binary_cross_entropy(&self, loss: Mut<'_>, logits: Ref<'_>, targets: &[f32], k: f32) {
        launch::losses::binary_cross_entropy(self, loss, logits, targets, k);
    }
    fn binary_cross_entropy_backward(
        &self,
        dlogits: Target<'_, Gpu<D>>,
        dloss: Ref<'_>,
        logits: Ref<'_>,
        targets: &[f32],
        k: f32,
    ) {
        launch::losses::binary_cross_entropy_backward(self, dlogits, dloss, logits, targets, k);
    }
    fn weighted_cross_entropy(
        &self,
        loss: Mut<'_>,
        logits: Ref<'_>,
        labels: &[u32],
        weights: &[f32],
        smoothing: f32,
        k: f32,
    ) {
        launch::losses::weighted_cross_entropy(self, loss, logits, labels, weights, smoothing, k);
    }
    fn weighted_cross_entropy_backward(
        &self,
        dlogits: Target<'_, Gpu<D>>,
        dloss: Ref<'_>,
        logits: Ref<'_>,
        labels: &[u32],
        weights: &[f32],
        smoothing: f32,
        k: f32,
    ) {
        launch::losses::weighted_cross_entropy_backward(self, dlogits, dloss, logits, labels, weights, smoothing, k);
    }
    fn focal(&self, loss: Mut<'_>, logits: Ref<'_>, labels: &[u32], weights: &[f32], gamma: f32, k: f32) {
        launch::losses::focal(self, loss, logits, labels, weights, gamma, k);
    }
    fn focal_backward(
        &self,
        dlogits: Target<'_, Gpu<D>>,
        dloss: Ref<'_>,
        logits: Ref<'_>,
        labels: &[u32],
        weights: &[f32],
        gamma: f32,
        k: f32,
    ) {
        launch::losses::focal_backward(self, dlogits, dloss, logits, labels, weights, gamma, k);
    }
    fn binary_focal(&self, loss: Mut<'_>, logits: Ref<'_>, targets: &[f32], gamma: f32, k: f32) {
        launch::losses::binary_focal(self, loss, logits, targets, gamma, k);
    }
    fn binary_focal_backward(
        &self,
        dlogits: Target<'_, Gpu<D>>,
        dloss: Ref<'_>,
        logits: Ref<'_>,
        targets: &[f32],
        gamma: f32,
        k: f32,
    ) {
        launch::losses::binary_focal_backward(self, dlogits, dloss, logits, targets, gamma, k);
    }
    fn squared_error(&self, loss: Mut<'_>, x: Ref<'_>, targets: &[f32], k: f32) {
        launch::losses::squared_error(self, loss, x, targets, k);
    }
    fn squared_error_backward(&self, dx: Target<'_, Gpu<D>>, dloss: Ref<'_>, x: Ref<'_>, targets: &[f32], k: f32) {
        launch::losses::squared_error_backward(self, dx, dloss, x, targets, k);
    }
    fn huber(&self, loss: Mut<'_>, x: Ref<'_>, targets: &[f32], delta: f32, k: f32) {
        launch::losses::huber(self, loss, x, targets, delta, k);
    }
    fn huber_backward(&self, dx: Target<'_, Gpu<D>>, dloss: Ref<'_>, x: Ref<'_>, targets: &[f32], delta: f32, k: f32) {
        launch::losses::huber_backward(self, dx, dloss, x, targets, delta, k);
    }
    fn adamw(
        &self,
        p: Mut<'_>,
        m: Mut<'_>,
        v: Mut<'_>,
        g: Ref<'_>,
        parts: &[(Range<usize>, AdamW)],
        grad_scale: &Scalar<D>,
    ) {
        launch::optimizer::adamw(self, p, m, v, g, parts, grad_scale);
    }
    fn adamw_idle(&self, p: Mut<'_>, m: Mut<'_>, v: Mut<'_>, width: usize, rows: &[(u32, u32)], steps: &[AdamW]) {
        launch::optimizer::adamw_idle(self, p, m, v, width, rows, steps);
    }
    fn sgd(
        &self,
        p: Mut<'_>,
        velocity: Mut<'_>,
        g: Ref<'_>,
        lr: f32,
        momentum: f32,
        weight_decay: f32,
        grad_scale: &Scalar<D>,
    ) {
        launch::optimizer::sgd(self, p, velocity, g, lr, momentum, weight_decay, grad_scale);
    }
    fn penalty_add(&self, g: Mut<'_>, p: Ref<'_>, l1: f32, l2: f32) {
        launch::elementwise::penalty_add(self, g, p, l1, l2);
    }
    fn penalty(&self, p: Ref<'_>, l1: f32, l2: f32) -> Scalar<D> {
        launch::reduce::penalty(self, p, l1, l2)
    }
    fn anchor_add(&self, g: Mut<'_>, p: Ref<'_>, start: Ref<'_>, k: f32) {
        launch::elementwise::anchor_add(self, g, p, start, k);
    }
    fn anchor(&self, p: Ref<'_>, start: Ref<'_>, k: f32) -> Scalar<D> {
        launch::reduce::anchor(self, p, start, k)
    }
}
