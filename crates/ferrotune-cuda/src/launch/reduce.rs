//! Sums to one number, and numbers that stay on the device. Twins: `kernels/reduce.cu`.
//!
//! A sum takes two launches: one leaves a partial sum a block, the other adds those in a fixed order.

use super::teams::MOST_BLOCKS;
use crate::device::{Device, Grid, THREADS};
use crate::gpu::{Gpu, PARTIALS};
use crate::memory::{Mut, Ref, View};
use crate::scalar::Scalar;
use bytemuck::NoUninit;
use std::sync::MutexGuard;

/// Partial sums that launches leave, to be added.
pub(super) struct Partials<'g, D: Device> {
    gpu: &'g Gpu<D>,
    /// Nobody else leaves any before these have been added.
    memory: MutexGuard<'g, D::Memory>,
    count: usize,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct FinishParams {
    partials: u64,
    count: u64,
    scalar: u64,
    y: View,
    k: f64,
    root: u32,
    unused: u32,
}

impl<'g, D: Device> Partials<'g, D> {
    /// How many there may be.
    const MOST: usize = PARTIALS / size_of::<f64>();

    pub fn new(gpu: &'g Gpu<D>) -> Self {
        Partials { gpu, memory: gpu.partials(), count: 0 }
    }

    /// Where the blocks of a launch put theirs, one each.
    pub fn room(&mut self, grid: Grid) -> u64 {
        let address = D::address(&self.memory) + (self.count * size_of::<f64>()) as u64;
        self.count += grid.blocks[0] as usize;
        assert!(self.count <= Self::MOST, "{} partial sums, of {} at most", self.count, Self::MOST);
        address
    }

    /// `y[0] = k·Σ`.
    pub fn store(self, y: Mut<'_>, k: f32) {
        self.finish(None, Some(y), f64::from(k), false);
    }

    /// `k·Σ`, or the root of it.
    fn scalar(self, k: f64, is_root: bool) -> Scalar<D> {
        let scalar = self.gpu.new_scalar();
        self.finish(Some(&scalar), None, k, is_root);
        scalar
    }

    /// The result goes to one of both.
    fn finish(self, scalar: Option<&Scalar<D>>, y: Option<Mut<'_>>, k: f64, is_root: bool) {
        assert!(scalar.is_some() || y.as_ref().is_some_and(|y| y.len > 0), "the result of a sum has no place");
        let params = FinishParams {
            partials: D::address(&self.memory),
            count: self.count as u64,
            scalar: scalar.map_or(0, |scalar| scalar.address),
            y: y.map_or(View::NONE, |y| y.view),
            k,
            root: u32::from(is_root),
            unused: 0,
        };
        // SAFETY: the memory, whose lock is held, has so many partial sums, as `room` checked, and the result has a place in the scalar, which nobody
        // else knows yet, or in y, which is borrowed, as the assert checked.
        unsafe { self.gpu.device().launch("reduce_finish", Grid::blocks(1), &params) };
    }
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SumParams {
    a: View,
    b: View,
    partials: u64,
    len: u64,
    k1: f64,
    k2: f64,
    aligned: u32,
    unused: u32,
}

/// Elements that a thread adds before there are more threads.
const PER_THREAD: usize = 16;

/// Blocks for a sum over so many elements, at least one.
pub(super) fn sum_grid(len: usize) -> Grid {
    Grid::blocks(len.div_ceil(PER_THREAD * THREADS as usize).clamp(1, MOST_BLOCKS))
}

fn partial_sums<'g, D: Device>(
    gpu: &'g Gpu<D>,
    kernel: &'static str,
    a: Ref<'_>,
    b: Option<Ref<'_>>,
    [k1, k2]: [f64; 2],
) -> Partials<'g, D> {
    if let Some(b) = b {
        assert!(a.len == b.len, "{kernel}: expected {} elements, got {}", a.len, b.len);
    }
    let mut partials = Partials::new(gpu);
    if a.len > 0 {
        let (len, a, b) = (a.len, a.view, b.map_or(View::NONE, |b| b.view));
        let aligned = u32::from(a.begins_at_four() && b.begins_at_four());
        let grid = sum_grid(len);
        let partials = partials.room(grid);
        let params = SumParams { a, b, partials, len: len as u64, k1, k2, aligned, unused: 0 };
        // SAFETY: a and b are borrowed and the assert gives them one length, `aligned` says what both allow, and each block has room for its sum.
        unsafe { gpu.device().launch(kernel, grid, &params) };
    }
    partials
}

/// `y[0] = k·Σ x`.
pub(crate) fn sum<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, k: f32, x: Ref<'_>) {
    partial_sums(gpu, "sum_partial", x, None, [0.0; 2]).store(y, k);
}

/// `l1·Σ|p| + l2/2·Σp²`.
pub(crate) fn penalty<D: Device>(gpu: &Gpu<D>, p: Ref<'_>, l1: f32, l2: f32) -> Scalar<D> {
    let factors = [f64::from(l1), 0.5 * f64::from(l2)];
    partial_sums(gpu, "penalty_partial", p, None, factors).scalar(1.0, false)
}

/// `k/2·Σ(p − start)²` in f64, in a fixed order.
pub(crate) fn anchor<D: Device>(gpu: &Gpu<D>, p: Ref<'_>, start: Ref<'_>, k: f32) -> Scalar<D> {
    partial_sums(gpu, "anchor_partial", p, Some(start), [0.0; 2]).scalar(0.5 * f64::from(k), false)
}

/// `Chunk` of the kernels: what one block adds.
#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Chunk {
    data: u64,
    len: u32,
    is_bf16: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SquaresParams {
    chunks: u64,
    partials: u64,
}

/// Elements of a chunk: few enough that the gradients of a small model keep a device busy, enough that the table of chunks stays short.
const CHUNK: usize = 1 << 15;

/// All parts in chunks: of [`CHUNK`] elements, or of the least multiple by a power of two that makes no more than `most`.
fn chunks(parts: &[Ref<'_>], most: usize) -> Vec<Chunk> {
    let longest = parts.iter().map(|part| part.len).max().unwrap_or(0);
    let mut size = CHUNK;
    while size < longest && parts.iter().map(|part| part.len.div_ceil(size)).sum::<usize>() > most {
        size *= 2;
    }
    let of_part = |part: &Ref<'_>| {
        let (view, len) = (part.view, part.len);
        (0..len).step_by(size).map(move |start| {
            let chunk = u32::try_from(size.min(len - start)).expect("a chunk of less than 2³² elements");
            Chunk { data: view.skip(start).data, len: chunk, is_bf16: view.is_bf16 }
        })
    };
    parts.iter().flat_map(of_part).collect()
}

/// `√Σ x²` over all parts, in a fixed order and in f64: two launches, however many parts there are.
pub(crate) fn norm<D: Device>(gpu: &Gpu<D>, parts: &[Ref<'_>]) -> Scalar<D> {
    let chunks = chunks(parts, Partials::<D>::MOST.min(D::STAGED / 4 / size_of::<Chunk>()));
    let mut partials = Partials::new(gpu);
    if !chunks.is_empty() {
        let grid = Grid::blocks(chunks.len());
        let mut tables = gpu.tables();
        let params = SquaresParams { chunks: tables.place(&chunks), partials: partials.room(grid) };
        // SAFETY: there is a block for each chunk, which is a stretch of a part that is borrowed, and each has room for its sum; `tables` lives.
        unsafe { gpu.device().launch("squares_partial", grid, &params) };
    }
    partials.scalar(1.0, true)
}

/// A kernel of which one thread does all.
const ONE: Grid = Grid { blocks: [1, 1], threads: 32, shared: 0 };

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ScalarParams {
    scalar: u64,
    x: View,
}

/// The first element of `x`.
pub(crate) fn scalar<D: Device>(gpu: &Gpu<D>, x: Ref<'_>) -> Scalar<D> {
    assert!(x.len > 0, "scalar: there is no first element");
    let scalar = gpu.new_scalar();
    let params = ScalarParams { scalar: scalar.address, x: x.view };
    // SAFETY: the scalar's place is its own, and x is borrowed and has a first element, as the assert says.
    unsafe { gpu.device().launch("to_scalar", ONE, &params) };
    scalar
}

/// Waits for a number.
pub(crate) fn read<D: Device>(gpu: &Gpu<D>, x: &Scalar<D>) -> f64 {
    let mut number = 0.0f64;
    // SAFETY: the place of a scalar holds a number in f64 and is nobody else's while the scalar lives.
    unsafe { gpu.device().download(x.address, bytemuck::bytes_of_mut(&mut number)) };
    number
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct TotalParams {
    scalar: u64,
    numbers: u64,
    count: u64,
}

/// `Σ x`, in order.
pub(crate) fn total<D: Device>(gpu: &Gpu<D>, x: &[Scalar<D>]) -> Scalar<D> {
    let scalar = gpu.new_scalar();
    let addresses: Vec<u64> = x.iter().map(|x| x.address).collect();
    let mut tables = gpu.tables();
    let numbers = if x.is_empty() { 0 } else { tables.place(&addresses) };
    let params = TotalParams { scalar: scalar.address, numbers, count: x.len() as u64 };
    // SAFETY: each of the `count` addresses is the place of a scalar that is borrowed, the result's is its own, and `tables` lives.
    unsafe { gpu.device().launch("total_scalars", ONE, &params) };
    scalar
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ClipParams {
    scalar: u64,
    norm: u64,
    most: f64,
}

/// The factor that brings a gradient of this norm to at most `most`: `min(1, most / (norm + 1e-6))`; without `most`, 1. It is not a
/// number where the norm is none.
pub(crate) fn clip_factor<D: Device>(gpu: &Gpu<D>, norm: &Scalar<D>, most: Option<f64>) -> Scalar<D> {
    let scalar = gpu.new_scalar();
    let params = ClipParams { scalar: scalar.address, norm: norm.address, most: most.unwrap_or(f64::INFINITY) };
    // SAFETY: both are the places of scalars that live, and the result's is its own.
    unsafe { gpu.device().launch("clip_scalar", ONE, &params) };
    scalar
}

#[cfg(all(test, feature = "shim"))]
mod tests {
    use super::*;
    use crate::gpu::Precision;
    use crate::shim::Shim;
    use ferrotune_tensor::backend::{Backend, Role};

    #[test]
    fn chunks_cover_all_parts_and_grow_when_they_are_too_many() {
        let gpu = Gpu::new(Shim::new(false), Precision::F32);
        let buf = gpu.alloc(5 * CHUNK + 3, Role::Gradient);
        let start = Gpu::slice(&buf, 0..0).view.data;
        let parts = [Gpu::slice(&buf, 0..5 * CHUNK + 3), Gpu::slice(&buf, 7..7), Gpu::slice(&buf, 1..CHUNK + 1)];
        for (most, sizes) in [
            (7, vec![CHUNK, CHUNK, CHUNK, CHUNK, CHUNK, 3, CHUNK]),
            (6, vec![2 * CHUNK, 2 * CHUNK, CHUNK + 3, CHUNK]),
            (1, vec![5 * CHUNK + 3, CHUNK]),
        ] {
            let got = chunks(&parts, most);
            assert_eq!(got.iter().map(|chunk| chunk.len as usize).collect::<Vec<_>>(), sizes, "{most}");
            assert_eq!((got[0].data, got[sizes.len() - 1].data), (start, start + 4), "{most}");
        }
    }
}
