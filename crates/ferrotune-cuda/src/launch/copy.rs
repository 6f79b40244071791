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
pub(crate) fn convert<D: Device>(gpu: &Gpu<D>, y: View, x: View, len: usize) {
    if len > 0 {
        gpu.device().launch("convert", Grid::elements(len), &ConvertParams { y, x, len: len as u64 });
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
        gpu.device().upload(to.view.data, bytemuck::cast_slice(host));
        if to.view.shadow != 0 {
            let shadow = View { data: to.view.shadow, shadow: 0, is_bf16: 1, unused: 0 };
            convert(gpu, shadow, plain(to.view.data), to.len);
        }
        return;
    }
    let memory = gpu.device().alloc(size_of_val(host).max(1));
    let address = D::address(&memory);
    gpu.device().upload(address, bytemuck::cast_slice(host));
    convert(gpu, to.view, plain(address), to.len);
}

/// Copies to the host.
pub(crate) fn download<D: Device>(gpu: &Gpu<D>, from: Ref<'_>) -> Vec<f32> {
    let mut host = vec![0.0f32; from.len];
    if from.len == 0 {
        return host;
    }
    if from.view.kind() == Kind::F32 {
        gpu.device().download(from.view.data, bytemuck::cast_slice_mut(&mut host));
        return host;
    }
    let memory = gpu.device().alloc(size_of_val(host.as_slice()));
    let address = D::address(&memory);
    convert(gpu, plain(address), from.view, from.len);
    gpu.device().download(address, bytemuck::cast_slice_mut(&mut host));
    host
}
