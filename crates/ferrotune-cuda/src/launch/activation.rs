//! Dropout and activations, element by element, and the gated GELU. Twins: `kernels/activation.cu`.

use crate::device::{Device, Grid};
use crate::gpu::Gpu;
use crate::launch::{WARPS, area};
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

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct GegluParams {
    to: Place,
    x: View,
    dy: View,
    rows: u64,
    width: u32,
    unused: u32,
}

/// The target is y where there is no dy, and dx where there is.
fn gated<D: Device>(gpu: &Gpu<D>, target: Target<'_, Gpu<D>>, x: Ref<'_>, dy: Option<Ref<'_>>, width: usize) {
    let Some((to, beta)) = target else { return };
    let rows = x.len / (2 * width).max(1);
    let len = area(rows, width);
    let (to_len, dy_len) = (if dy.is_some() { 2 * len } else { len }, dy.map_or(len, |dy| dy.len));
    assert!(x.len == 2 * len, "geglu: x: {} elements are no rows of twice {width}", x.len);
    assert!(to.len == to_len && dy_len == len, "geglu: {rows} rows of {width}: got {} and {dy_len} elements", to.len);
    if len == 0 {
        return;
    }
    let names = if dy.is_some() { ["geglu_backward_1", "geglu_backward_4"] } else { ["geglu_1", "geglu_4"] };
    let (to, x, dy) = (Place::of(Some((to, beta))), x.view, dy.map_or(View::NONE, |dy| dy.view));
    let wide = [to.to, x, dy].iter().all(|view| view.is_wide(width));
    let columns = u32::try_from(width).expect("rows of less than 2³² numbers");
    let params = GegluParams { to, x, dy, rows: rows as u64, width: columns, unused: 0 };
    // SAFETY: the target, x and dy are borrowed; the asserts found x to be rows of twice `width`, the target as many of its own and dy of `width`; the
    // kernels that read dy are chosen where there is one, and `wide` says what all of them allow.
    unsafe { gpu.device().launch(names[usize::from(wide)], Grid::blocks(rows.div_ceil(WARPS)), &params) };
}

/// `y = gelu(a)·b` for rows `a|b` of x.
pub(crate) fn geglu<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, width: usize) {
    gated(gpu, Some((y, 0.0)), x, None, width);
}

/// Gradient of geglu.
pub(crate) fn geglu_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, x: Ref<'_>, width: usize) {
    gated(gpu, dx, x, Some(dy), width);
}
