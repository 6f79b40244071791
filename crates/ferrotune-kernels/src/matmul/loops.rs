//! Loops 1 to 4 of the matmul around any micro-kernel (`mod.rs` explains them). Must not know an instruction set.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::blocking::{Blocking, LINE, MC, PACKED_A, PANELS_PER_PART, is_parallel};
use super::pack::{Operand, Strip};
use super::tile::{CHUNK, MicroKernel, Tile};
use super::{Dims, Epilogue, Layout};

/// What every task of one block of k sees. The pointers point at whole operands.
struct Job<'a> {
    blocking: Blocking,
    /// Columns of C, its row stride.
    n: usize,
    /// This block of k.
    block: Range<usize>,
    a: Operand<'a>,
    packed_b: Shared,
    /// Where sums go: C, or `pre` if a GELU follows.
    sums: Shared,
    /// Whether this block of k goes on from the sums that are there, or overwrites.
    continues: bool,
    /// With the last block of k only.
    bias: Option<&'a [f32]>,
    /// C, if a GELU follows; with the last block of k only.
    gelu: Option<Shared>,
}

/// Memory that tasks read together, or write in disjoint parts.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: each use says which part it touches and why no other task writes there meanwhile.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The element at `offset`. (A method, so that closures capture the wrapper and not the pointer in it.)
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// A task's packed block of A, on its stack: every task of a thread writes the same memory, which therefore stays in its L2.
#[repr(align(64))]
struct PackedA([MaybeUninit<f32>; PACKED_A]);

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
    let is_parallel = is_parallel(dims, threads);
    let blocking = Blocking::new::<K>(dims, if is_parallel { threads } else { 1 });
    let a = Operand { from: a, is_k_down: layout == Layout::TN, across: m, k };
    let b = Operand { from: b, is_k_down: layout != Layout::NT, across: n, k };
    let c = Shared(c.as_mut_ptr());
    let (bias, pre) = match epilogue {
        Epilogue::None => (None, None),
        Epilogue::Bias(bias) => (Some(bias), None),
        Epilogue::BiasGelu { bias, pre } => (Some(bias), Some(Shared(pre.as_mut_ptr()))),
    };
    let start = scratch.as_ptr().align_offset(LINE * size_of::<f32>());
    let packed_b = Shared(scratch[start..].as_mut_ptr());
    // Loop 1.
    for index in 0..blocking.k_blocks {
        let block = blocking.k_block::<K>(index);
        let steps = K::steps(block.len());
        for_each(is_parallel, blocking.panels.div_ceil(PANELS_PER_PART), |part| {
            let first = part * PANELS_PER_PART;
            let panels =
                (first..(first + PANELS_PER_PART).min(blocking.panels)).map(|panel| blocking.panel::<K>(panel));
            // SAFETY: the caller's obligations; panels cut the columns of B, only the last is padded, and each is packed by
            // one part at `start * steps`, for which `scratch_len` has room.
            unsafe { b.pack::<K>(block.clone(), panels, packed_b.at(first * K::NR * steps)) };
        });
        let is_last = index + 1 == blocking.k_blocks;
        let job = Job {
            blocking,
            n,
            block,
            a,
            packed_b,
            sums: pre.unwrap_or(c),
            continues: index > 0 || beta != 0.0,
            bias: bias.filter(|_| is_last),
            gelu: pre.and(Some(c)).filter(|_| is_last),
        };
        // Loop 2.
        // SAFETY: B is packed for this block, the pointers are valid for `dims`, and each task runs once.
        for_each(is_parallel, blocking.tasks(), |task| unsafe { run_task::<K>(&job, task) });
    }
    K::NAME
}

/// Packs A for one task and runs its loops 3 and 4.
///
/// # Safety
/// The processor has the instruction set of `K`; the job's pointers are valid for its blocking; no other thread runs this task.
unsafe fn run_task<K: MicroKernel>(job: &Job<'_>, task: usize) {
    let Job { blocking, n, .. } = *job;
    let steps = K::steps(job.block.len());
    let (tiles, panels) = blocking.task(task);
    let mut strips = [Strip::default(); MC];
    let strips = &mut strips[..tiles.len()];
    for (strip, tile) in strips.iter_mut().zip(tiles) {
        *strip = blocking.tile(tile);
    }
    let rows = strips[0].start..strips[strips.len() - 1].start + strips[strips.len() - 1].columns;
    let mut packed_a = PackedA([const { MaybeUninit::uninit() }; PACKED_A]);
    assert!(rows.len() * steps <= PACKED_A);
    let packed_a: *mut f32 = packed_a.0.as_mut_ptr().cast();
    // SAFETY: these tiles are neighbours without padding, and `packed_a` has room for them, as asserted.
    unsafe { K::pack_a(job.a, job.block.clone(), strips, packed_a) };
    for panel in panels {
        let panel = blocking.panel::<K>(panel);
        let packed_b: *const f32 = job.packed_b.at(panel.start * steps);
        let mut ahead = packed_b.wrapping_add(panel.width * steps);
        for tile in strips.iter() {
            // SAFETY: the tile's rows are below m and the panel's columns below n, so all of it lies in C, in the rectangle that is
            // this task's; packed strips follow each other, a strip of s columns in `s * steps` elements.
            unsafe {
                let args = Tile {
                    steps,
                    a: packed_a.add((tile.start - rows.start) * steps),
                    b: packed_b,
                    ahead,
                    c: job.sums.at(tile.start * n + panel.start),
                    c_stride: n,
                    continues: job.continues,
                    bias: job.bias.map(|bias| bias.as_ptr().add(panel.start)),
                    last: panel.columns - (panel.width - K::LANES),
                };
                K::tile(tile.columns, panel.width / K::LANES, &args);
            }
            ahead = ahead.wrapping_add(steps / CHUNK * panel.width);
        }
        if let Some(c) = job.gelu {
            let corner = rows.start * n + panel.start;
            // SAFETY: the rectangle is this task's, in C as in `pre`, which are different slices, and its sums are complete.
            unsafe { K::gelu_panel(c.at(corner), job.sums.at(corner), rows.len(), panel.columns, n) };
        }
    }
}

/// Runs parts of the work, over threads or here.
fn for_each(is_parallel: bool, parts: usize, run: impl Fn(usize) + Sync + Send) {
    if is_parallel {
        (0..parts).into_par_iter().with_max_len(1).for_each(run);
    } else {
        (0..parts).for_each(run);
    }
}
