//! Rows of tables, gathered and scattered. Twins: `kernels/embedding.cu`.

use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref};
use ferrotune_tensor::backend::*;

/// `y[t] = Σ table[ids[t]]` over the tables.
pub(crate) fn embedding<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, tables: &[(Ref<'_>, &[u32])], width: usize) {
    todo!()
}

/// Gradient of one embedding table.
pub(crate) fn embedding_backward<D: Device>(
    gpu: &Gpu<D>,
    dtable: Target<'_, Gpu<D>>,
    dy: Ref<'_>,
    ids: &[u32],
    width: usize,
) {
    todo!()
}

/// `y[r] = x[rows[r]]`.
pub(crate) fn gather_rows<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, rows: &[u32], width: usize) {
    todo!()
}

/// Gradient of `gather_rows`; `rows` are distinct.
pub(crate) fn gather_rows_backward<D: Device>(
    gpu: &Gpu<D>,
    dx: Target<'_, Gpu<D>>,
    dy: Ref<'_>,
    rows: &[u32],
    width: usize,
) {
    todo!()
}
