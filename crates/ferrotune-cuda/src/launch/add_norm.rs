//! Residual + dropout + layer norm. Twins: `kernels/add_norm.cu`.

use crate::device::{Device, Grid, THREADS};
use crate::gpu::Gpu;
use crate::launch::area;
use crate::launch::column_sums::column_totals;
use crate::memory::{Dropout, Mut, Place, Ref, View};
use crate::words::Tables;
use bytemuck::NoUninit;
use ferrotune_tensor::Pool;
use ferrotune_tensor::backend::*;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AddNormParams {
    y: View,
    mean: View,
    rstd: View,
    x: View,
    residual: View,
    gamma: View,
    bias: View,
    mask: Dropout,
    mask_rows: u64,
    rows: u64,
    width: u32,
    eps: f32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AddNormBackwardParams {
    dx: Place,
    dresidual: Place,
    dy: View,
    x: View,
    residual: View,
    gamma: View,
    mean: View,
    rstd: View,
    mask: Dropout,
    mask_rows: u64,
    sums: u64,
    rows: u64,
    width: u32,
    unused: u32,
}

/// Lanes of a warp.
const WARP: usize = 32;
/// Blocks of the backward whose warps keep rows in registers, and their warps: eight small ones for each of the 132 multiprocessors of the largest devices,
/// which hide each other's waiting as far as registers let them.
const BLOCKS: usize = 1056;
/// See [`BLOCKS`].
const BACKWARD_WARPS: usize = 4;
/// Blocks of one warp, of the backward whose rows lie in shared memory.
const SINGLE_BLOCKS: usize = 1024;

/// Where a warp keeps a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    Registers512,
    Registers1024,
    Shared,
}

impl Row {
    /// Registers, if all of these can be read four numbers at a time.
    fn of(width: usize, views: &[View]) -> Row {
        match width {
            _ if !views.iter().all(|view| view.is_wide(width)) => Row::Shared,
            0..=512 => Row::Registers512,
            513..=1024 => Row::Registers1024,
            _ => Row::Shared,
        }
    }

    fn warps(self) -> usize {
        if self == Row::Shared { 1 } else { THREADS as usize / WARP }
    }

    /// The same for the backward.
    fn backward_warps(self) -> usize {
        if self == Row::Shared { 1 } else { BACKWARD_WARPS }
    }

    /// A launch of blocks of so many warps, with so many floats of shared memory a block.
    fn grid(self, warps: usize, blocks: usize, shared: usize) -> Grid {
        let shared = u32::try_from(shared * size_of::<f32>()).expect("shared memory of less than 4 GiB");
        Grid { threads: (warps * WARP) as u32, shared, ..Grid::blocks(blocks) }
    }
}

fn check<D: Device>(what: &str, input: &AddNorm<'_, '_, Gpu<D>>, others: [(&str, usize); 3]) {
    let NormDims { rows, width } = input.dims;
    let matrices = [("x", input.x.len), ("residual", input.residual.map_or(input.x.len, |residual| residual.len))];
    let statistics = [("mask_rows", input.mask_rows.map_or(rows, <[u32]>::len)), others[1], others[2]];
    let sized = matrices.into_iter().chain([others[0]]).map(|(name, len)| (name, len, area(rows, width)));
    for (name, len, expected) in sized.chain(statistics.map(|(name, len)| (name, len, rows))) {
        assert!(len == expected, "{what}: {name}: expected {expected} elements, got {len}");
    }
    assert!(input.gamma.len == width, "{what}: gamma: expected {width} elements, got {}", input.gamma.len);
}

fn place_rows<D: Device>(tables: &mut Tables<'_, D>, rows: Option<&[u32]>) -> u64 {
    rows.map_or(0, |rows| tables.place(rows))
}

/// `y = LN(residual + dropout(x))·gamma + bias`, the bias being 0 where there is none, saving mean and 1/σ of each row.
pub(crate) fn add_norm<D: Device>(
    gpu: &Gpu<D>,
    y: Mut<'_>,
    mean: Mut<'_>,
    rstd: Mut<'_>,
    input: AddNorm<'_, '_, Gpu<D>>,
    bias: Option<Ref<'_>>,
    eps: f32,
) {
    let NormDims { rows, width } = input.dims;
    check("add_norm", &input, [("y", y.len), ("mean", mean.len), ("rstd", rstd.len)]);
    let bias_len = bias.map_or(width, |bias| bias.len);
    assert!(bias_len == width, "add_norm: bias: expected {width} elements, got {bias_len}");
    if rows * width == 0 {
        return;
    }
    let AddNorm { x, residual, gamma, mask, mask_rows, .. } = input;
    let [residual, bias] = [residual, bias].map(|part| part.map_or(View::NONE, |part| part.view));
    let row = Row::of(width, &[y.view, x.view, residual, gamma.view, bias]);
    let (kernel, shared) = match row {
        Row::Registers512 => ("add_norm_512", 0),
        Row::Registers1024 => ("add_norm_1024", 0),
        Row::Shared => ("add_norm_any", width.next_multiple_of(WARP)),
    };
    let mut tables = gpu.tables();
    let params = AddNormParams {
        y: y.view,
        mean: mean.view,
        rstd: rstd.view,
        x: x.view,
        residual,
        gamma: gamma.view,
        bias,
        mask: mask.into(),
        mask_rows: place_rows(&mut tables, mask_rows),
        rows: rows as u64,
        width: width as u32,
        eps,
    };
    let grid = row.grid(row.warps(), rows.div_ceil(row.warps()), shared);
    // SAFETY: all of these are borrowed, and `check` and the assert on the bias compared them with rows and width; `row` says what all of them
    // allow, `shared` is what its kernel keeps there, and `tables` lives.
    unsafe { gpu.device().launch(kernel, grid, &params) };
}

/// Gradients of `add_norm`: one kernel for rows, which leaves sums of its blocks, and one that adds these for gamma and the bias.
pub(crate) fn add_norm_backward<D: Device>(
    gpu: &Gpu<D>,
    pool: &mut Pool<Gpu<D>>,
    grads: AddNormGrads<'_, Gpu<D>>,
    dy: Ref<'_>,
    input: AddNorm<'_, '_, Gpu<D>>,
    mean: Ref<'_>,
    rstd: Ref<'_>,
) {
    let what = "add_norm backward";
    let NormDims { rows, width } = input.dims;
    check(what, &input, [("dy", dy.len), ("mean", mean.len), ("rstd", rstd.len)]);
    let AddNormGrads { dx, dresidual, dgamma, dbias } = grads;
    let sized = [("dx", &dx, rows * width), ("dresidual", &dresidual, rows * width)];
    for (name, target, expected) in sized.into_iter().chain([("dgamma", &dgamma, width), ("dbias", &dbias, width)]) {
        let len = target.as_ref().map_or(expected, |(to, _)| to.len);
        assert!(len == expected, "{what}: {name}: expected {expected} elements, got {len}");
    }
    let AddNorm { x, residual, gamma, mask, mask_rows, .. } = input;
    let residual = residual.map_or(View::NONE, |residual| residual.view);
    let [dx, dresidual, dgamma, dbias] = [dx, dresidual, dgamma, dbias].map(Place::of);
    let row = Row::of(width, &[dx.to, dresidual.to, dy.view, x.view, residual, gamma.view]);
    let (kernel, shared, most) = match row {
        Row::Registers512 | Row::Registers1024 => {
            let kernel = match width {
                0..=384 => "add_norm_backward_384",
                385..=512 => "add_norm_backward_512",
                513..=768 => "add_norm_backward_768",
                _ => "add_norm_backward_1024",
            };
            (kernel, row.backward_warps() * width, BLOCKS)
        }
        // The row, the sums of both parameters, and the room where sums of warps are added.
        Row::Shared => ("add_norm_backward_any", 4 * width.next_multiple_of(WARP), SINGLE_BLOCKS),
    };
    let blocks = rows.div_ceil(row.backward_warps()).min(most);
    let wants_sums = dgamma.wanted == 1 || dbias.wanted == 1;
    let scratch = wants_sums.then(|| pool.scratch(2 * blocks * width));
    let sums = scratch.as_ref().map_or(View::NONE, |scratch| scratch.data().view);
    let mut tables = gpu.tables();
    let params = AddNormBackwardParams {
        dx,
        dresidual,
        dy: dy.view,
        x: x.view,
        residual,
        gamma: gamma.view,
        mean: mean.view,
        rstd: rstd.view,
        mask: mask.into(),
        mask_rows: place_rows(&mut tables, mask_rows),
        sums: sums.address_of_f32(),
        rows: rows as u64,
        width: width as u32,
        unused: 0,
    };
    if blocks * width > 0 {
        let grid = row.grid(row.backward_warps(), blocks, shared);
        // SAFETY: all of these are borrowed, and `check` and the loop over the targets compared them with rows and width; `sums` has two rows in f32
        // for each block where anybody wants them, `row` says what all of them allow, `shared` is what its kernel keeps there, and `tables` lives.
        unsafe { gpu.device().launch(kernel, grid, &params) };
    }
    let parts = [(sums, dgamma), (sums.skip(blocks * width), dbias)];
    // SAFETY: where one is wanted, `sums` has twice `blocks·width` numbers; dgamma and dbias are borrowed and were compared with the width.
    unsafe { column_totals(gpu, parts, blocks, width) };
    if let Some(scratch) = scratch {
        pool.give(scratch);
    }
}
