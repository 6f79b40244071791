//! Loops 1 to 4 of the matmul around any micro-kernel (`mod.rs` explains them). Must not know an instruction set.

use rayon::prelude::*;

use super::blocking::{Blocking, LINE, is_parallel};
use super::pack::Operand;
use super::tile::{MicroKernel, Tile};
use super::{Dims, Epilogue, Layout};

/// What every task of one block of k sees. The pointers point at whole operands.
#[derive(Clone, Copy)]
struct Job {
    blocking: Blocking,
    /// Columns of C, its row stride.
    n: usize,
    /// Steps of k in this block.
    steps: usize,
    packed_a: *const f32,
    packed_b: *const f32,
    /// Where sums go: C, or `pre` if a GELU follows.
    sums: *mut f32,
    /// Whether this block of k goes on from the sums that are there, or overwrites.
    continues: bool,
    /// With the last block of k only.
    bias: Option<*const f32>,
    /// C, if a GELU follows; with the last block of k only.
    gelu: Option<*mut f32>,
}

// SAFETY: packed operands and bias are only read; `sums` and `gelu` are written by tasks in disjoint rectangles (`Blocking::task`).
unsafe impl Sync for Job {}

/// Runs the product; returns the name of the micro-kernel.
///
/// # Safety
/// The processor has the instruction set of `K`; every length agrees with `dims` and `scratch` has the length of `scratch_len`.
pub(super) unsafe fn run<K: MicroKernel>(
    layout: Layout,
    dims: Dims,
    a: &[f32],
    b: &[f32],
    beta: f32,
    c: &mut [f32],
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> &'static str {
    let Dims { m, n, k } = dims;
    if m == 0 || n == 0 {
        return K::NAME;
    }
    let threads = rayon::current_num_threads();
    let blocking = Blocking::new::<K>(dims, threads);
    let (packed_a, packed_b) = split_scratch(m * blocking.longest_k_block(), scratch);
    let a = Operand { from: a, is_k_down: layout == Layout::TN, across: m, strips: blocking.tiles, to: packed_a };
    let b = Operand { from: b, is_k_down: layout != Layout::NT, across: n, strips: blocking.panels, to: packed_b };
    let (bias, pre) = match epilogue {
        Epilogue::None => (None, None),
        Epilogue::Bias(bias) => (Some(bias.as_ptr()), None),
        Epilogue::BiasGelu { bias, pre } => (Some(bias.as_ptr()), Some(pre.as_mut_ptr())),
    };
    let gelu = pre.is_some().then_some(c.as_mut_ptr());
    let sums = pre.unwrap_or(c.as_mut_ptr());
    let is_parallel = is_parallel(dims, threads);
    // Loop 1.
    for block in 0..blocking.k_blocks {
        let steps = blocking.k_block(block);
        let parts_of_a = a.parts(steps.len());
        for_each(is_parallel, parts_of_a + b.parts(steps.len()), |part| {
            // SAFETY: the caller's obligations; `split_scratch` has cut disjoint parts for the longest block of k; tiles cut
            // the rows and panels the columns of C without overlap, and each part is packed once.
            unsafe {
                match part.checked_sub(parts_of_a) {
                    None => a.pack::<K>(k, steps.clone(), part, |tile| blocking.tile(tile)),
                    Some(part) => b.pack::<K>(k, steps.clone(), part, |panel| blocking.panel::<K>(panel)),
                }
            }
        });
        let is_last = block + 1 == blocking.k_blocks;
        let job = Job {
            blocking,
            n,
            steps: steps.len(),
            packed_a,
            packed_b,
            sums,
            continues: block > 0 || beta != 0.0,
            bias: bias.filter(|_| is_last),
            gelu: gelu.filter(|_| is_last),
        };
        // Loop 2.
        // SAFETY: both operands are packed for this block, the pointers are valid for `dims`, and each task runs once.
        for_each(is_parallel, blocking.tasks(), |task| unsafe { run_task::<K>(&job, task) });
    }
    K::NAME
}

/// Loops 3 and 4 of one task.
///
/// # Safety
/// The processor has the instruction set of `K`; the job's pointers are valid for its blocking; no other thread runs this task.
unsafe fn run_task<K: MicroKernel>(job: &Job, task: usize) {
    let Job { blocking, n, steps, .. } = *job;
    let (tiles, panels) = blocking.task(task);
    for panel in panels {
        let panel = blocking.panel::<K>(panel);
        for tile in tiles.clone() {
            let tile = blocking.tile(tile);
            // SAFETY: the tile's rows are below m and the panel's columns below n, so all of it lies in C, and packed strips begin
            // at `start * steps` (see `Operand::pack`).
            unsafe {
                let args = Tile {
                    steps,
                    a: job.packed_a.add(tile.start * steps),
                    b: job.packed_b.add(panel.start * steps),
                    c: job.sums.add(tile.start * n + panel.start),
                    c_stride: n,
                    continues: job.continues,
                    bias: job.bias.map(|bias| bias.add(panel.start)),
                    last: panel.columns - (panel.width - K::LANES),
                };
                K::tile(tile.columns, panel.width / K::LANES, &args);
            }
        }
        if let Some(c) = job.gelu {
            let (first, last) = (blocking.tile(tiles.start), blocking.tile(tiles.end - 1));
            let corner = first.start * n + panel.start;
            let rows = last.start + last.columns - first.start;
            // SAFETY: the rectangle is this task's, in C as in `pre`, which are different slices, and its sums are complete.
            unsafe { K::gelu_panel(c.add(corner), job.sums.add(corner), rows, panel.columns, n) };
        }
    }
}

/// Where in `scratch` packed A (of `a_len` elements) and packed B begin, both on a cache line.
fn split_scratch(a_len: usize, scratch: &mut [f32]) -> (*mut f32, *mut f32) {
    let start = scratch.as_ptr().align_offset(LINE * size_of::<f32>());
    let (a, b) = scratch[start..].split_at_mut(a_len.next_multiple_of(LINE));
    (a.as_mut_ptr(), b.as_mut_ptr())
}

/// Runs parts of the work, over threads or here.
fn for_each(is_parallel: bool, parts: usize, run: impl Fn(usize) + Sync + Send) {
    if is_parallel {
        (0..parts).into_par_iter().with_max_len(1).for_each(run);
    } else {
        (0..parts).for_each(run);
    }
}
