//! Softmax of rows. Twins: `kernels/softmax.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use ferrotune_tensor::backend::*;

/// Softmax of each row of `cols` elements.
pub(crate) fn softmax<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, cols: usize) {
    todo!()
}

/// Gradient of softmax.
pub(crate) fn softmax_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>, cols: usize) {
    todo!()
}
