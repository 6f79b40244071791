//! Dropout and activations, element by element. Twins: `kernels/activation.cu`.

use crate::device::{Device, Grid};
use crate::gpu::Gpu;
use crate::memory::{Dropout, Mut, Place, Ref, View};
use bytemuck::NoUninit;
use ferrotune_tensor::Mask;
use ferrotune_tensor::backend::Target;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ActivationParams {
    to: Place,
    a: View,
    b: View,
    mask: Dropout,
    len: u64,
    aligned: u32,
    unused: u32,
}

/// `to = beta·to + f(a, b)`. The kernels read b where there is one, and a for it where there is none.
fn activate<D: Device>(
    gpu: &Gpu<D>,
    kernel: &'static str,
    target: Option<(Mut<'_>, f32)>,
    a: Ref<'_>,
    b: Option<Ref<'_>>,
    mask: Mask,
) {
    let Some((to, beta)) = target else { return };
    let len = to.len;
    for x in std::iter::once(a).chain(b) {
        assert!(x.len == len, "{kernel}: expected {len} elements, got {}", x.len);
    }
    if len == 0 {
        return;
    }
    let (a, b) = (a.view, b.map_or(View::NONE, |b| b.view));
    let aligned = u32::from([to.view, a, b].iter().all(View::begins_at_four));
    let to = Place::of(Some((to, beta)));
    let params = ActivationParams { to, a, b, mask: mask.into(), len: len as u64, aligned, unused: 0 };
    // SAFETY: the target, a and b are borrowed, the loop compared their lengths with `len`, and `aligned` says what all of them allow.
    unsafe { gpu.device().launch(kernel, Grid::elements(len.div_ceil(4)), &params) };
}

/// `y = dropout(x)`.
pub(crate) fn dropout<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, mask: Mask) {
    activate(gpu, "dropout_apply", Some((y, 0.0)), x, None, mask);
}

/// Gradient of dropout.
pub(crate) fn dropout_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, mask: Mask) {
    activate(gpu, "dropout_apply", dx, dy, None, mask);
}

/// `y = gelu(x)`, exact.
pub(crate) fn gelu<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>) {
    activate(gpu, "gelu_forward", Some((y, 0.0)), x, None, Mask::NONE);
}

/// Gradient of gelu.
pub(crate) fn gelu_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, x: Ref<'_>) {
    activate(gpu, "gelu_backward", dx, dy, Some(x), Mask::NONE);
}

/// `y = tanh(x)`.
pub(crate) fn tanh<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>) {
    activate(gpu, "tanh_forward", Some((y, 0.0)), x, None, Mask::NONE);
}

/// Gradient of tanh.
pub(crate) fn tanh_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>) {
    activate(gpu, "tanh_backward", dx, dy, Some(y), Mask::NONE);
}

/// `y = max(x, 0)`.
pub(crate) fn relu<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>) {
    activate(gpu, "relu_forward", Some((y, 0.0)), x, None, Mask::NONE);
}

/// Gradient of relu.
pub(crate) fn relu_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>) {
    activate(gpu, "relu_backward", dx, dy, Some(y), Mask::NONE);
}
