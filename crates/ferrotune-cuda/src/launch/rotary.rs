//! Turns by position. Twin: `kernels/rotary.cu`.

use crate::device::{Device, Grid};
use crate::gpu::Gpu;
use crate::launch::{WARPS, area};
use crate::memory::{Mut, Place, Ref, View};
use bytemuck::NoUninit;
use ferrotune_tensor::backend::{Rotary, Target};

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct RotaryParams {
    to: Place,
    x: View,
    positions: u64,
    frequencies: u64,
    rows: u64,
    width: u32,
    pairs: u32,
    heads: u32,
    direction: f32,
}

/// `y = turned x`.
pub(crate) fn rotary<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, rotary: Rotary<'_>) {
    turn(gpu, "rotary", Some((y, 0.0)), x, rotary, 1.0);
}

/// Gradient of rotary.
pub(crate) fn rotary_backward<D: Device>(gpu: &Gpu<D>, dx: Target<'_, Gpu<D>>, dy: Ref<'_>, rotary: Rotary<'_>) {
    turn(gpu, "rotary backward", dx, dy, rotary, -1.0);
}

fn turn<D: Device>(
    gpu: &Gpu<D>,
    what: &str,
    target: Target<'_, Gpu<D>>,
    x: Ref<'_>,
    rotary: Rotary<'_>,
    direction: f32,
) {
    let Some((to, beta)) = target else { return };
    let Rotary { positions, frequencies, heads, width } = rotary;
    let (rows, pairs) = (positions.len(), frequencies.len());
    let (len, turned) = (area(rows, width), area(2 * heads, pairs));
    assert!(turned <= width, "{what}: width: {width} columns for {turned} that are turned");
    assert!(x.len == len && to.len == len, "{what}: {rows} rows of {width}: got {} and {}", x.len, to.len);
    if len == 0 {
        return;
    }
    let columns = u32::try_from(width).expect("rows of less than 2³² numbers");
    let mut tables = gpu.tables();
    let params = RotaryParams {
        to: Place::of(Some((to, beta))),
        x: x.view,
        positions: tables.place(positions),
        frequencies: tables.place(frequencies),
        rows: rows as u64,
        width: columns,
        // Both are below the width, unless nothing is turned.
        pairs: if turned == 0 { 0 } else { pairs as u32 },
        heads: if turned == 0 { 0 } else { heads as u32 },
        direction,
    };
    let wide = pairs.is_multiple_of(4) && params.to.to.is_wide(width) && x.view.is_wide(width);
    let kernel = if wide { "rotary_4" } else { "rotary_1" };
    // SAFETY: the target and x are borrowed; the asserts found both to be rows of `width`, a position for each, and the heads, of two columns for each
    // frequency, to fit a row; `wide` says what both allow, and `tables` lives.
    unsafe { gpu.device().launch(kernel, Grid::blocks(rows.div_ceil(WARPS)), &params) };
}
