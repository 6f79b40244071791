//! Sums to one number, and numbers that stay on the device. Twins: `kernels/reduce.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use crate::scalar::Scalar;
use ferrotune_tensor::backend::*;

/// The first element of `x`.
pub(crate) fn scalar<D: Device>(gpu: &Gpu<D>, x: Ref<'_>) -> Scalar<D> {
    todo!()
}

/// Waits for a number.
pub(crate) fn read<D: Device>(gpu: &Gpu<D>, x: &Scalar<D>) -> f64 {
    todo!()
}

/// `Σ x`, in order.
pub(crate) fn total<D: Device>(gpu: &Gpu<D>, x: &[Scalar<D>]) -> Scalar<D> {
    todo!()
}

/// `√Σ x²` over all parts, in a fixed order and in f64.
pub(crate) fn norm<D: Device>(gpu: &Gpu<D>, parts: &[Ref<'_>]) -> Scalar<D> {
    todo!()
}

/// The factor that brings a gradient of this norm to at most `most`: `min(1, most / (norm + 1e-6))`; without `most`, 1. It is not a
/// number where the norm is none.
pub(crate) fn clip_factor<D: Device>(gpu: &Gpu<D>, norm: &Scalar<D>, most: Option<f64>) -> Scalar<D> {
    todo!()
}

/// `y[0] = k·Σ x`.
pub(crate) fn sum<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, k: f32, x: Ref<'_>) {
    todo!()
}

/// `l1·Σ|p| + l2/2·Σp²`.
pub(crate) fn penalty<D: Device>(gpu: &Gpu<D>, p: Ref<'_>, l1: f32, l2: f32) -> Scalar<D> {
    todo!()
}

/// `k/2·Σ(p − start)²` in f64, in a fixed order.
pub(crate) fn anchor<D: Device>(gpu: &Gpu<D>, p: Ref<'_>, start: Ref<'_>, k: f32) -> Scalar<D> {
    todo!()
}
