//! Softmax of rows. Twins: `kernels/softmax.cu`.

use super::teams::Teams;
use crate::device::Device;
use crate::gpu::Gpu;
use crate::memory::{Mut, Place, Ref, View};
use bytemuck::NoUninit;
use ferrotune_tensor::backend::Target;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SoftmaxParams {
    y: View,
    x: View,
    rows: u64,
    cols: u32,
    team: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SoftmaxBackwardParams {
    dx: Place,
    dy: View,
    y: View,
    rows: u64,
    cols: u32,
    team: u32,
}

/// The rows of a matrix of `len` numbers, and their width; none if there is nothing to do.
fn rows_of(len: usize, others: &[Ref<'_>], cols: usize) -> Option<(usize, u32)> {
    for other in others {
        assert!(other.len == len, "softmax: expected {len} elements, got {}", other.len);
    }
    if len == 0 {
        return None;
    }
    assert!(cols > 0 && len.is_multiple_of(cols), "softmax: {len} elements are no whole rows of {cols}");
    Some((len / cols, u32::try_from(cols).expect("rows of less than 2³² numbers")))
}

/// Softmax of each row of `cols` elements.
pub(crate) fn softmax<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, cols: usize) {
    let Some((rows, columns)) = rows_of(y.len, &[x], cols) else { return };
    let teams = Teams::of(rows, cols);
    let params = SoftmaxParams { y: y.view, x: x.view, rows: rows as u64, cols: columns, team: teams.size };
    // SAFETY: y and x are borrowed, and `rows_of` checked that each has `rows·cols` numbers.
    unsafe { gpu.device().launch("softmax_forward", teams.grid, &params) };
}

/// Gradient of softmax.
pub(crate) fn softmax_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, y: Ref<'_>, cols: usize) {
    let Some((dx, beta)) = dx else { return };
    let Some((rows, columns)) = rows_of(dx.len, &[dy, y], cols) else { return };
    let teams = Teams::of(rows, cols);
    let params = SoftmaxBackwardParams {
        dx: Place::of(Some((dx, beta))),
        dy: dy.view,
        y: y.view,
        rows: rows as u64,
        cols: columns,
        team: teams.size,
    };
    // SAFETY: dx, dy and y are borrowed, and `rows_of` checked that each has `rows·cols` numbers.
    unsafe { gpu.device().launch("softmax_backward", teams.grid, &params) };
}
