//! Copies between the host's f32 and the device's numbers. Twins: `kernels/copy.cu`.

use crate::device::{Device, Grid, Kind};
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref, View};
use bytemuck::NoUninit;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ConvertParams {
    y: View,
    x: View,
    len: u64,
}

/// `y = x`, each stored in its own way.
pub(crate) fn convert<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>) {
    assert!(y.len == x.len, "convert: expected {} numbers, got {}", y.len, x.len);
    // SAFETY: y and x are borrowed, and the assert gives them the same length.
    unsafe { convert_views(gpu, y.view, x.view, x.len) };
}

/// The same for memory that nobody has borrowed as such.
///
/// # Safety
/// Both views are of at least so many numbers in live memory of the device, and nobody else has borrowed those of y.
pub(crate) unsafe fn convert_views<D: Device>(gpu: &Gpu<D>, y: View, x: View, len: usize) {
    if len > 0 {
        let params = ConvertParams { y, x, len: len as u64 };
        // SAFETY: the kernel touches `len` numbers of each view, which the caller promises.
        unsafe { gpu.device().launch("convert", Grid::elements(len), &params) };
    }
}

/// f32 memory that nobody owns as tensors.
fn plain(address: u64) -> View {
    View { data: address, ..View::NONE }
}

/// Copies from the host.
pub(crate) fn upload<D: Device>(gpu: &Gpu<D>, to: Mut<'_>, host: &[f32]) {
    assert!(to.len == host.len(), "upload: expected {} numbers, got {}", to.len, host.len());
    if to.view.kind() == Kind::F32 {
        // SAFETY: `to` borrows numbers in f32, as many as the assert says that the host has.
        unsafe { gpu.device().upload(to.view.data, bytemuck::cast_slice(host)) };
        if to.view.shadow != 0 {
            let shadow = View { data: to.view.shadow, shadow: 0, is_bf16: 1, unused: 0 };
            // SAFETY: `to` borrows `to.len` numbers in f32 and the shadow of each.
            unsafe { convert_views(gpu, shadow, plain(to.view.data), to.len) };
        }
        return;
    }
    let memory = gpu.device().alloc(size_of_val(host).max(1));
    let address = D::address(&memory);
    // SAFETY: the memory has been allocated for these bytes, and nobody else knows it.
    unsafe { gpu.device().upload(address, bytemuck::cast_slice(host)) };
    // SAFETY: `to` borrows `to.len` numbers, and the memory, which is given back behind the launch, holds as many in f32.
    unsafe { convert_views(gpu, to.view, plain(address), to.len) };
}

/// Copies to the host.
pub(crate) fn download<D: Device>(gpu: &Gpu<D>, from: Ref<'_>) -> Vec<f32> {
    let mut host = vec![0.0f32; from.len];
    if from.len == 0 {
        return host;
    }
    if from.view.kind() == Kind::F32 {
        // SAFETY: `from` borrows numbers in f32, as many as the host's vector was made for.
        unsafe { gpu.device().download(from.view.data, bytemuck::cast_slice_mut(&mut host)) };
        return host;
    }
    let memory = gpu.device().alloc(size_of_val(host.as_slice()));
    let address = D::address(&memory);
    // SAFETY: `from` borrows `from.len` numbers, and the memory, which nobody else knows, has been allocated for as many in f32.
    unsafe { convert_views(gpu, plain(address), from.view, from.len) };
    // SAFETY: the memory has been allocated for as many bytes as the host's vector has.
    unsafe { gpu.device().download(address, bytemuck::cast_slice_mut(&mut host)) };
    host
}
