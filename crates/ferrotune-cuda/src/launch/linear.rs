//! Linear layers: products with a bias, and their gradients. Twins: `kernels/linear.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use ferrotune_tensor::backend::*;
use ferrotune_tensor::Pool;

/// `y = x Wᵀ + b`; with `pre`, `pre = x Wᵀ + b` and `y = gelu(pre)`.
pub(crate) fn linear<D: Device>(gpu: &Gpu<D>, pool: &mut Pool<Gpu<D>>, y: Mut<'_>, pre: Option<Mut<'_>>, x: Ref<'_>, w: Ref<'_>, b: Ref<'_>, dims: LinearDims) {
    todo!()
}

/// Gradients of `x Wᵀ + b`.
pub(crate) fn linear_backward<D: Device>(gpu: &Gpu<D>, pool: &mut Pool<Gpu<D>>, grads: LinearGrads<'_, Gpu<D>>, dy: Ref<'_>, x: Ref<'_>, w: Ref<'_>, dims: LinearDims) {
    todo!()
}
