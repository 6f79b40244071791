//! Ragged attention. Twins: `kernels/attention.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use ferrotune_tensor::Pool;
use ferrotune_tensor::backend::*;

/// Ragged multi-head attention; saves the log-sum-exp of each score row.
pub(crate) fn attention<D: Device>(gpu: &Gpu<D>, ctx: Mut<'_>, lse: Mut<'_>, input: Attention<'_, '_, Gpu<D>>) {
    todo!()
}

/// Gradients of attention by recomputation, one target for each source.
pub(crate) fn attention_backward<D: Device>(
    gpu: &Gpu<D>,
    pool: &mut Pool<Gpu<D>>,
    grads: &mut [Target<'_, Gpu<D>>],
    dctx: Ref<'_>,
    ctx: Ref<'_>,
    lse: Ref<'_>,
    input: Attention<'_, '_, Gpu<D>>,
) {
    todo!()
}
