//! Every block size of the matmul with its reason, and how a product is cut into tiles, panels, blocks of k and tasks.
//! Must not touch the elements of a matrix.

use std::ops::Range;

use super::Dims;
use super::pack::Strip;
use super::tile::MicroKernel;

/// Rows of an AVX2 tile. 6 × 2 vectors leave 4 of the 16 registers for two vectors of B and broadcasts of A; 12 chains
/// hide the latency of two multiply-add units (2 units × 4 or 5 cycles).
pub(super) const AVX2_MR: usize = 6;
/// Vectors of 8 columns in an AVX2 tile.
pub(super) const AVX2_NV: usize = 2;
/// Longest block of k with AVX2: a panel's block is 384 · 16 · 4 = 24 KiB of a 32 KiB L1 cache, beside the tile of A.
pub(super) const AVX2_KC: usize = 384;

/// Rows of an AVX-512 tile. 8 × 3 vectors leave 8 of the 32 registers; per step 11 loads feed 24 multiply-adds.
pub(super) const AVX512_MR: usize = 8;
/// Vectors of 16 columns in an AVX-512 tile. 48 divides the usual widths of encoders (384, 768, 1024 less a third, 1536, 3072).
pub(super) const AVX512_NV: usize = 3;
/// Longest block of k with AVX-512, half as many steps with bf16: in f32 a panel's block is 768 · 48 · 4 = 144 KiB. It streams from L2 at
/// 16 bytes a cycle where there are two 512-bit units, below what L2 delivers; shorter blocks add traffic to C, and cost more than they spare.
pub(super) const AVX512_KC: usize = 768;

/// Rows of an AMX tile: two registers of 16. With two of columns, four loads feed four products, which take twice as long.
pub(super) const AMX_MR: usize = 32;
/// Vectors of 16 columns in an AMX tile.
pub(super) const AMX_NV: usize = 2;
/// Longest block of k with AMX, in steps of two: a panel's block is 384 · 32 · 4 = 48 KiB, what the processors that have AMX have of L1.
pub(super) const AMX_KC: usize = 384;
/// Steps of an AMX group; a shorter block of k is filled up in packed memory.
const AMX_GROUP: usize = 16;

/// The longest of them, for the size of packed memory.
const LONGEST_KC: usize = if AVX2_KC > AVX512_KC { AVX2_KC } else { AVX512_KC };

/// Rows of C in a task at most, a multiple of every MR: with the blocks of k above, their packed block of A takes 144 KiB (AVX2) or 288 KiB of an
/// L2 cache of 512 KiB or 1 MiB and leaves room for the panels that pass through.
pub(super) const MC: usize = 96;

/// Length of a task's packed block of A. It lies on the stack; a rayon worker has 2 MiB of that.
pub(super) const PACKED_A: usize = MC * LONGEST_KC;

/// Panels of B that one packing task packs.
pub(super) const PANELS_PER_PART: usize = 4;

/// Packing a tile of A takes about as long as multiplying it with a panel, divided by this.
const PANELS_A_PACK: usize = 5;

/// Tasks for each thread at least, if the product is large enough; most products have more row blocks than that.
const TASKS_PER_THREAD: usize = 2;

/// Multiply-adds below which a call stays on the calling thread: about the time in which rayon wakes a sleeping worker.
const SERIAL_WORK: usize = 1 << 19;

/// A cache line in `f32`s. Packed memory starts on one.
pub(super) const LINE: usize = 16;

/// Part `i` of `total` things dealt to `parts` as evenly as possible, in order.
fn deal(total: usize, parts: usize, i: usize) -> Range<usize> {
    i * total / parts..(i + 1) * total / parts
}

/// See [`super::scratch_len`]: one packed block of B (in bf16 half as long, but whole groups), whose last panel has whole vectors (16 lanes are the widest,
/// and a multiple of all others), and slack to start it on a cache line.
pub(super) fn scratch_len(dims: Dims) -> usize {
    let panels = dims.n.checked_next_multiple_of(16).and_then(|n| n.checked_mul(dims.k.clamp(AMX_GROUP, LONGEST_KC)));
    panels.and_then(|panels| panels.checked_add(LINE)).expect("matmul: more scratch than can be counted")
}

/// How one product is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocking {
    dims: Dims,
    /// Row tiles, of up to MR rows.
    pub(super) tiles: usize,
    /// Column panels, of NR columns but for the last.
    pub(super) panels: usize,
    /// Blocks of k, at least one, so that k = 0 still writes C.
    pub(super) k_blocks: usize,
    row_blocks: usize,
    column_groups: usize,
}

impl Blocking {
    /// Cuts a product for the micro-kernel `K` and the number of threads that will work. Only the tasks depend on `threads`.
    pub(super) fn new<K: MicroKernel>(dims: Dims, threads: usize) -> Self {
        let (tiles, panels) = (dims.m.div_ceil(K::MR), dims.n.div_ceil(K::NR));
        let (row_blocks, column_groups) = cut_tasks(tiles, MC / K::MR, panels, threads);
        let k_blocks = dims.k.div_ceil(K::STEP).div_ceil(K::KC).max(1);
        Blocking { dims, tiles, panels, k_blocks, row_blocks, column_groups }
    }

    /// The part of k in a block: whole steps of `K`, but for the last of all.
    pub(super) fn k_block<K: MicroKernel>(&self, block: usize) -> Range<usize> {
        let steps = deal(self.dims.k.div_ceil(K::STEP), self.k_blocks, block);
        steps.start * K::STEP..(steps.end * K::STEP).min(self.dims.k)
    }

    /// Number of tasks.
    pub(super) fn tasks(&self) -> usize {
        self.row_blocks * self.column_groups
    }

    /// Tiles and panels of a task. Tasks with the same rows are neighbours, so that a thread keeps these rows in its L2.
    pub(super) fn task(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let (block, group) = (task / self.column_groups, task % self.column_groups);
        (deal(self.tiles, self.row_blocks, block), deal(self.panels, self.column_groups, group))
    }

    /// A row tile: MR rows or less, never zero; packed without padding.
    pub(super) fn tile(&self, tile: usize) -> Strip {
        let rows = deal(self.dims.m, self.tiles, tile);
        Strip { start: rows.start, columns: rows.len(), width: rows.len() }
    }

    /// A column panel, packed in whole vectors.
    pub(super) fn panel<K: MicroKernel>(&self, panel: usize) -> Strip {
        let start = panel * K::NR;
        let columns = K::NR.min(self.dims.n - start);
        Strip { start, columns, width: columns.next_multiple_of(K::LANES) }
    }
}

/// Whether a product of these sizes is worth several threads.
pub(super) fn is_parallel(dims: Dims, threads: usize) -> bool {
    threads > 1 && dims.m.saturating_mul(dims.n).saturating_mul(dims.k) >= SERIAL_WORK
}

/// The row blocks (of at most `most_tiles`) and column groups whose last task is expected to end first.
fn cut_tasks(tiles: usize, most_tiles: usize, panels: usize, threads: usize) -> (usize, usize) {
    let fewest = tiles.div_ceil(most_tiles);
    if threads == 1 {
        return (fewest, 1);
    }
    let mut best = (usize::MAX, fewest, 1);
    for row_blocks in fewest..=(fewest + 2).min(tiles) {
        let wanted = (threads * TASKS_PER_THREAD).div_ceil(row_blocks);
        for column_groups in wanted.min(panels)..=(wanted + 3).min(panels) {
            let waves = (row_blocks * column_groups).div_ceil(threads);
            let largest = tiles.div_ceil(row_blocks) * (PANELS_A_PACK * panels.div_ceil(column_groups) + 1);
            let end = waves * largest;
            if end < best.0 {
                best = (end, row_blocks, column_groups);
            }
        }
    }
    (best.1, best.2)
}
