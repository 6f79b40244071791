//! Sums, products and fills, element by element. Twins: `kernels/elementwise.cu`.

use crate::device::{Device, Grid};
use crate::gpu::Gpu;
use crate::memory::{Mut, Place, Ref, View};
use bytemuck::NoUninit;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MapParams {
    y: View,
    a: View,
    b: View,
    len: u64,
    k: f32,
    unused: u32,
}

/// The callers give what the kernel reads.
fn map<D: Device>(gpu: &Gpu<D>, kernel: &'static str, y: Mut<'_>, a: Option<Ref<'_>>, b: Option<Ref<'_>>, k: f32) {
    let view = |x: Option<Ref<'_>>| {
        x.map_or(View::NONE, |x| {
            assert!(x.len == y.len, "{kernel}: expected {} elements, got {}", y.len, x.len);
            x.view
        })
    };
    let params = MapParams { y: y.view, a: view(a), b: view(b), len: y.len as u64, k, unused: 0 };
    if y.len > 0 {
        // SAFETY: y, a and b are borrowed, `view` compared their lengths with that of y, and the kernel touches no element beyond it.
        unsafe { gpu.device().launch(kernel, Grid::elements(y.len), &params) };
    }
}

/// `y = value`.
pub(crate) fn fill<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, value: f32) {
    map(gpu, "fill", y, None, None, value);
}

/// `y += k·x`.
pub(crate) fn axpy<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, k: f32, x: Ref<'_>) {
    map(gpu, "axpy", y, Some(x), None, k);
}

/// `y = a + b`.
pub(crate) fn add<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, a: Ref<'_>, b: Ref<'_>) {
    map(gpu, "add", y, Some(a), Some(b), 0.0);
}

/// `y = a·b`.
pub(crate) fn mul<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, a: Ref<'_>, b: Ref<'_>) {
    map(gpu, "mul", y, Some(a), Some(b), 0.0);
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MapBackwardParams {
    dx: Place,
    dy: View,
    other: View,
    len: u64,
    k: f32,
    unused: u32,
}

/// Reads so many elements of dy at most, one of each of the others. The callers give what the kernel reads.
fn map_backward<D: Device>(
    gpu: &Gpu<D>,
    kernel: &'static str,
    dx: Option<(Mut<'_>, f32)>,
    (dy, read): (Ref<'_>, usize),
    other: Option<Ref<'_>>,
    k: f32,
) {
    let Some((dx, beta)) = dx else { return };
    let len = dx.len;
    assert!(dy.len >= read.min(len), "{kernel}: expected {} elements of dy, got {}", read.min(len), dy.len);
    assert!(other.is_none_or(|other| other.len == len), "{kernel}: expected {len} elements");
    let other = other.map_or(View::NONE, |other| other.view);
    let params =
        MapBackwardParams { dx: Place::of(Some((dx, beta))), dy: dy.view, other, len: len as u64, k, unused: 0 };
    if len > 0 {
        // SAFETY: dx, dy and `other` are borrowed, and the asserts compared their lengths with what the kernel reads for `len` elements of dx.
        unsafe { gpu.device().launch(kernel, Grid::elements(len), &params) };
    }
}

/// `dx = beta·dx + dy·other`.
pub(crate) fn mul_backward<D: Device>(gpu: &Gpu<D>, dx: Option<(Mut<'_>, f32)>, dy: Ref<'_>, other: Ref<'_>) {
    map_backward(gpu, "mul_backward", dx, (dy, usize::MAX), Some(other), 0.0);
}

/// `dx = beta·dx + k·dy`.
pub(crate) fn scale_into<D: Device>(gpu: &Gpu<D>, dx: Option<(Mut<'_>, f32)>, k: f32, dy: Ref<'_>) {
    map_backward(gpu, "scale_into", dx, (dy, usize::MAX), None, k);
}

/// `dx = beta·dx + k·dy[0]`.
pub(crate) fn sum_backward<D: Device>(gpu: &Gpu<D>, dx: Option<(Mut<'_>, f32)>, k: f32, dy: Ref<'_>) {
    map_backward(gpu, "sum_backward", dx, (dy, 1), None, k);
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PenaltyParams {
    g: View,
    p: View,
    start: View,
    len: u64,
    l1: f32,
    l2: f32,
}

fn penalty<D: Device>(gpu: &Gpu<D>, g: Mut<'_>, p: Ref<'_>, start: Option<Ref<'_>>, l1: f32, l2: f32) {
    assert!(p.len == g.len && start.is_none_or(|start| start.len == g.len), "penalty: {} of {}", p.len, g.len);
    let kernel = if start.is_some() { "anchor_add" } else { "penalty_add" };
    let (len, start) = (g.len, start.map_or(View::NONE, |start| start.view));
    let params = PenaltyParams { g: g.view, p: p.view, start, len: len as u64, l1, l2 };
    if len > 0 {
        // SAFETY: g, p and `start` are borrowed, the assert gives them one length, and `anchor_add`, which reads `start`, is chosen where there is one.
        unsafe { gpu.device().launch(kernel, Grid::elements(len), &params) };
    }
}

/// `g += l1·sign(p) + l2·p`.
pub(crate) fn penalty_add<D: Device>(gpu: &Gpu<D>, g: Mut<'_>, p: Ref<'_>, l1: f32, l2: f32) {
    penalty(gpu, g, p, None, l1, l2);
}

/// `g += k·(p − start)`.
pub(crate) fn anchor_add<D: Device>(gpu: &Gpu<D>, g: Mut<'_>, p: Ref<'_>, start: Ref<'_>, k: f32) {
    penalty(gpu, g, p, Some(start), 0.0, k);
}
