//! Residual + dropout + layer norm. Twins: `kernels/add_norm.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use ferrotune_tensor::Pool;
use ferrotune_tensor::backend::*;

/// `y = LN(residual + dropout(x))·gamma + bias`, saving mean and 1/σ of each row.
pub(crate) fn add_norm<D: Device>(
    gpu: &Gpu<D>,
    y: Mut<'_>,
    mean: Mut<'_>,
    rstd: Mut<'_>,
    input: AddNorm<'_, '_, Gpu<D>>,
    bias: Ref<'_>,
    eps: f32,
) {
    todo!()
}

/// Gradients of `add_norm`.
pub(crate) fn add_norm_backward<D: Device>(
    gpu: &Gpu<D>,
    pool: &mut Pool<Gpu<D>>,
    grads: AddNormGrads<'_, Gpu<D>>,
    dy: Ref<'_>,
    input: AddNorm<'_, '_, Gpu<D>>,
    mean: Ref<'_>,
    rstd: Ref<'_>,
) {
    todo!()
}
