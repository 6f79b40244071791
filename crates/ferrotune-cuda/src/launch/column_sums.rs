//! Sums of columns in a fixed order. Twins: `kernels/column_sums.cu`.

use super::area;
use crate::device::{Device, Grid, THREADS};
use crate::gpu::Gpu;
use crate::memory::{Place, Ref, View};
use bytemuck::NoUninit;
use ferrotune_tensor::Pool;
use ferrotune_tensor::backend::*;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ColumnPartsParams {
    x: View,
    sums: u64,
    rows: u64,
    columns: u32,
    rows_of_block: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ColumnTotalsParams {
    x: [View; 2],
    to: [Place; 2],
    rows: u32,
    columns: u32,
}

/// Rows that the second stage adds without a first.
const FEW: usize = 128;
/// The least rows of a block of the first stage: eight for each of its warps.
const ROWS: usize = 64;
/// Lanes of a warp.
const WARP: usize = 32;

/// `target = beta·target + Σ_rows dy` for dy `(rows, columns)`.
pub(crate) fn column_sums<D: Device>(
    gpu: &Gpu<D>,
    pool: &mut Pool<Gpu<D>>,
    dy: Ref<'_>,
    rows: usize,
    columns: usize,
    target: Target<'_, Gpu<D>>,
) {
    let Some((out, beta)) = target else { return };
    assert!(dy.len == area(rows, columns), "column_sums: expected {rows}·{columns} elements, got {}", dy.len);
    assert!(out.len == columns, "column_sums: expected a target of {columns} elements, got {}", out.len);
    let (to, nothing) = (Place::of(Some((out, beta))), (View::NONE, Place::NONE));
    if rows <= FEW {
        // SAFETY: dy and the target are borrowed, and the asserts compared them with `rows·columns` and `columns`.
        return unsafe { column_totals(gpu, [(dy.view, to), nothing], rows, columns) };
    }
    let rows_of_block = ROWS.max(rows.div_ceil(FEW));
    let blocks = rows.div_ceil(rows_of_block);
    let sums = pool.scratch(blocks * columns);
    let sums_view = sums.data().view;
    let (kernel, lane) = if dy.view.is_wide(columns) { ("column_parts_4", 4) } else { ("column_parts_1", 1) };
    let grid = Grid { blocks: [number(columns.div_ceil(WARP * lane)), number(blocks)], threads: THREADS, shared: 0 };
    let params = ColumnPartsParams {
        x: dy.view,
        sums: sums_view.address_of_f32(),
        rows: rows as u64,
        columns: number(columns),
        rows_of_block: number(rows_of_block),
    };
    if columns > 0 {
        // SAFETY: dy is borrowed and was compared with `rows·columns`, `is_wide` chose the kernel, and `sums`, which is ours until it is given back,
        // has a row of `columns` in f32 for each block in y.
        unsafe { gpu.device().launch(kernel, grid, &params) };
    }
    // SAFETY: `sums` has `blocks·columns` numbers, and the target, which is borrowed, was compared with `columns`.
    unsafe { column_totals(gpu, [(sums_view, to), nothing], blocks, columns) };
    pool.give(sums);
}

/// The sums of the columns of two matrices of the same shape, each for its place, if that is wanted.
///
/// # Safety
/// Where a place is wanted, it is one of `columns` numbers and its matrix one of `rows·columns`, both in live memory of the device, and nobody else
/// has borrowed the place.
pub(crate) unsafe fn column_totals<D: Device>(gpu: &Gpu<D>, parts: [(View, Place); 2], rows: usize, columns: usize) {
    let wanted = parts.iter().filter(|(_, to)| to.wanted == 1).count();
    if wanted == 0 || columns == 0 {
        return;
    }
    // What is wanted comes first, and the launch leaves the other out.
    let parts = if parts[0].1.wanted == 1 { parts } else { [parts[1], parts[0]] };
    let grid = Grid { blocks: [number(columns.div_ceil(WARP)), wanted as u32], threads: THREADS, shared: 0 };
    let params = ColumnTotalsParams {
        x: parts.map(|(x, _)| x),
        to: parts.map(|(_, to)| to),
        rows: number(rows),
        columns: number(columns),
    };
    // SAFETY: blocks in y are as many as places that are wanted, which come first, and the caller promises the sizes of these and their matrices.
    unsafe { gpu.device().launch("column_totals", grid, &params) };
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("sizes of a matrix below 2³²")
}

#[cfg(all(test, feature = "shim"))]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::shim::Shim;

    /// Small whole numbers, whose sums are exact in any order and in bf16.
    fn dy(rows: usize, columns: usize) -> Vec<f32> {
        (0..rows * columns).map(|i| (i * i % 13) as f32 - 5.0).collect()
    }

    #[test]
    fn every_row_is_added_once_in_one_stage_or_two() {
        for precision in [Precision::F32, Precision::Bf16] {
            let gpu = Gpu::new(Shim::new(false), precision);
            let mut pool = Pool::new(gpu.clone());
            for (rows, columns) in [(0, 5), (1, 1), (100, 35), (129, 36), (200, 130), (8300, 3)] {
                let numbers = dy(rows, columns);
                let mut x = pool.take([rows, columns]);
                gpu.upload(x.data_mut(), &numbers);
                for beta in [0.0, 1.0] {
                    let mut out = pool.scratch(columns);
                    gpu.upload(out.data_mut(), &vec![if beta == 0.0 { f32::NAN } else { 2.0 }; columns]);
                    column_sums(&gpu, &mut pool, x.data(), rows, columns, Some((out.data_mut(), beta)));
                    let sum = |column: usize| numbers.iter().skip(column).step_by(columns).sum::<f32>() + 2.0 * beta;
                    let want: Vec<f32> = (0..columns).map(sum).collect();
                    assert_eq!(gpu.download(out.data()), want, "{rows}·{columns}, beta {beta}, {precision:?}");
                }
                column_sums(&gpu, &mut pool, x.data(), rows, columns, None);
            }
        }
    }
}
