//! Means of the rows of each sequence. Twins: `kernels/sequence_means.cu`.

use crate::device::{Device, Grid, THREADS};
use crate::gpu::Gpu;
use crate::launch::area;
use crate::memory::{Mut, Place, Ref, View};
use bytemuck::NoUninit;
use ferrotune_tensor::backend::Target;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SequenceMeansParams {
    y: View,
    x: View,
    offsets: u64,
    width: u64,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SequenceMeansBackwardParams {
    dx: Place,
    dy: View,
    offsets: u64,
    width: u64,
}

/// Blocks for each sequence and each [`THREADS`] columns, with so many elements in x and y; none if there is nothing to do.
fn grid(what: &str, x: usize, y: usize, offsets: &[u32], width: usize) -> Option<Grid> {
    assert!(
        offsets.first() == Some(&0) && offsets.is_sorted(),
        "{what}: offsets: expected B + 1 of them, ascending from 0"
    );
    let (sequences, rows) = (offsets.len() - 1, offsets[offsets.len() - 1] as usize);
    assert!(x == area(rows, width), "{what}: x: expected {rows} rows of {width}, got {x} elements");
    assert!(y == area(sequences, width), "{what}: y: expected {sequences} rows of {width}, got {y} elements");
    let count = |n: usize| u32::try_from(n).expect("a launch of less than 2³² blocks");
    let blocks = [count(sequences), count(width.div_ceil(THREADS as usize))];
    (y > 0).then_some(Grid { blocks, threads: THREADS, shared: 0 })
}

/// `y[s]` is the mean of the rows of sequence s.
pub(crate) fn sequence_means<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, offsets: &[u32], width: usize) {
    let Some(grid) = grid("sequence_means", x.len, y.len, offsets, width) else { return };
    let mut tables = gpu.tables();
    let params = SequenceMeansParams { y: y.view, x: x.view, offsets: tables.place(offsets), width: width as u64 };
    // SAFETY: y and x are borrowed; `grid` found them to be rows of `width`, one of y for each sequence and of x for each row below the last offset,
    // which none of the others exceeds, and `tables` lives.
    unsafe { gpu.device().launch("sequence_means", grid, &params) };
}

/// Gradient of `sequence_means`.
pub(crate) fn sequence_means_backward<D: Device>(
    gpu: &Gpu<D>,
    dx: Target<'_, Gpu<D>>,
    dy: Ref<'_>,
    offsets: &[u32],
    width: usize,
) {
    let Some((dx, beta)) = dx else { return };
    let Some(grid) = grid("sequence_means backward", dx.len, dy.len, offsets, width) else { return };
    let mut tables = gpu.tables();
    let (dx, offsets) = (Place::of(Some((dx, beta))), tables.place(offsets));
    let params = SequenceMeansBackwardParams { dx, dy: dy.view, offsets, width: width as u64 };
    // SAFETY: as in `sequence_means`, of dx and dy.
    unsafe { gpu.device().launch("sequence_means_backward", grid, &params) };
}
