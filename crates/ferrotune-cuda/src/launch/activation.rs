//! Dropout and activations, element by element. Twins: `kernels/activation.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use ferrotune_tensor::Mask;
use ferrotune_tensor::backend::*;

/// `y = dropout(x)`.
pub(crate) fn dropout<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, mask: Mask) {
    todo!()
}

/// Gradient of dropout.
pub(crate) fn dropout_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, mask: Mask) {
    todo!()
}

/// `y = gelu(x)`, exact.
pub(crate) fn gelu<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>) {
    todo!()
}

/// Gradient of gelu.
pub(crate) fn gelu_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, x: Ref<'_>) {
    todo!()
}

/// `y = tanh(x)`.
pub(crate) fn tanh<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>) {
    todo!()
}

/// Gradient of tanh.
pub(crate) fn tanh_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>) {
    todo!()
}

/// `y = max(x, 0)`.
pub(crate) fn relu<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>) {
    todo!()
}

/// Gradient of relu.
pub(crate) fn relu_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>) {
    todo!()
}
