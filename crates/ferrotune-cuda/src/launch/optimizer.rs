//! Steps of optimizers over flat parameters. Twins: `kernels/optimizer.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use crate::scalar::Scalar;
use ferrotune_tensor::backend::*;
use std::ops::Range;

/// One AdamW step for these ranges of p, m, v and g, which do not overlap, in one pass; the gradient is multiplied by `grad_scale` first.
pub(crate) fn adamw<D: Device>(
    gpu: &Gpu<D>,
    p: Mut<'_>,
    m: Mut<'_>,
    v: Mut<'_>,
    g: Ref<'_>,
    parts: &[(Range<usize>, AdamW)],
    grad_scale: &Scalar<D>,
) {
    todo!()
}

/// Several AdamW steps without a gradient for some rows of a table of `width`: row `rows[i].0` takes `steps[rows[i].1..]`, with the bits
/// of [`Backend::adamw`] with a zero gradient. The rows are distinct.
pub(crate) fn adamw_idle<D: Device>(
    gpu: &Gpu<D>,
    p: Mut<'_>,
    m: Mut<'_>,
    v: Mut<'_>,
    width: usize,
    rows: &[(u32, u32)],
    steps: &[AdamW],
) {
    todo!()
}

/// One SGD step with momentum: `g += decay·p; velocity = momentum·velocity + g; p −= lr·velocity`.
pub(crate) fn sgd<D: Device>(
    gpu: &Gpu<D>,
    p: Mut<'_>,
    velocity: Mut<'_>,
    g: Ref<'_>,
    lr: f32,
    momentum: f32,
    weight_decay: f32,
    grad_scale: &Scalar<D>,
) {
    todo!()
}
