//! Losses over rows of logits or over numbers. Twins: `kernels/losses.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use ferrotune_tensor::backend::*;

/// `loss[0] = k·Σ −log softmax(logits)[label]`, saving the probabilities.
pub(crate) fn cross_entropy<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    probabilities: Mut<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    classes: usize,
    k: f32,
) {
    todo!()
}

/// Gradient of cross-entropy.
pub(crate) fn cross_entropy_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    probabilities: Ref<'_>,
    labels: &[u32],
    classes: usize,
    k: f32,
) {
    todo!()
}

/// `loss[0] = k·Σ` binary cross-entropy of each logit with its target in `[0, 1]`.
pub(crate) fn binary_cross_entropy<D: Device>(gpu: &Gpu<D>, loss: Mut<'_>, logits: Ref<'_>, targets: &[f32], k: f32) {
    todo!()
}

/// Gradient of binary cross-entropy.
pub(crate) fn binary_cross_entropy_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    targets: &[f32],
    k: f32,
) {
    todo!()
}

/// `loss[0] = k·Σ` cross-entropy with a weight for each class and label smoothing.
pub(crate) fn weighted_cross_entropy<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    smoothing: f32,
    k: f32,
) {
    todo!()
}

/// Gradient of weighted cross-entropy.
pub(crate) fn weighted_cross_entropy_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    smoothing: f32,
    k: f32,
) {
    todo!()
}

/// `loss[0] = k·Σ weight·(1 − p)^gamma·(−log p)` with `p = softmax(logits)[label]`.
pub(crate) fn focal<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    gamma: f32,
    k: f32,
) {
    todo!()
}

/// Gradient of the focal loss.
pub(crate) fn focal_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    gamma: f32,
    k: f32,
) {
    todo!()
}

/// `loss[0] = k·Σ (1 − p)^gamma·(−log p)` with `p` the probability of each target, 0 or 1, from one logit.
pub(crate) fn binary_focal<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    logits: Ref<'_>,
    targets: &[f32],
    gamma: f32,
    k: f32,
) {
    todo!()
}

/// Gradient of the binary focal loss.
pub(crate) fn binary_focal_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    targets: &[f32],
    gamma: f32,
    k: f32,
) {
    todo!()
}

/// `loss[0] = k·Σ (x − target)²`.
pub(crate) fn squared_error<D: Device>(gpu: &Gpu<D>, loss: Mut<'_>, x: Ref<'_>, targets: &[f32], k: f32) {
    todo!()
}

/// Gradient of the squared error.
pub(crate) fn squared_error_backward<D: Device>(
    gpu: &Gpu<D>,
    dx: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    x: Ref<'_>,
    targets: &[f32],
    k: f32,
) {
    todo!()
}

/// `loss[0] = k·Σ` of Huber's error: `½r²` for residuals `r` up to `delta`, linear beyond.
pub(crate) fn huber<D: Device>(gpu: &Gpu<D>, loss: Mut<'_>, x: Ref<'_>, targets: &[f32], delta: f32, k: f32) {
    todo!()
}

/// Gradient of Huber's error.
pub(crate) fn huber_backward<D: Device>(
    gpu: &Gpu<D>,
    dx: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    x: Ref<'_>,
    targets: &[f32],
    delta: f32,
    k: f32,
) {
    todo!()
}
