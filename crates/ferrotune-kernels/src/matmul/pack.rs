//! Packing of a block of k of an operand into strips: tiles of A, panels of B. Where k runs down the rows this is a copy; where it
//! runs along them the instruction set transposes. Must not know C, tasks or threads.

use std::ops::Range;

use super::tile::MicroKernel;

/// Rows that are copied of one strip before the next, a whole number of steps: few enough source lines to live in L1 even if all rows
/// are 4 KiB apart, enough to write runs of several lines.
const ROWS: usize = 8;

/// One strip of columns: a tile of A (its rows) or a panel of B.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strip {
    /// First column.
    pub(super) start: usize,
    /// Columns that exist.
    pub(super) columns: usize,
    /// Columns in packed memory; those beyond `columns` are zeros.
    pub(super) width: usize,
}

/// An operand as it lies in memory.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    pub(super) from: &'a [f32],
    /// Whether k runs down its rows or along them.
    pub(super) is_k_down: bool,
    /// Its other size, m or n.
    pub(super) across: usize,
    /// Length of the sums.
    pub(super) k: usize,
}

impl Operand<'_> {
    /// Packs the block `block` of `0..k` of some neighbouring strips, one after the other, each a row of its width for every step; steps that
    /// fill a group become zeros.
    ///
    /// # Safety
    /// The processor has the instruction set of `K`; `from` has `across * k` elements; the strips lie in `0..across`, one after
    /// the other, and none but the last is wider than its columns; `to` is valid for writing the sum of their widths for every step.
    pub(super) unsafe fn pack<K: MicroKernel>(
        self,
        block: Range<usize>,
        strips: impl Iterator<Item = Strip> + Clone,
        to: *mut f32,
    ) {
        let steps = K::steps(block.len());
        let Some(Strip { start: origin, .. }) = strips.clone().next() else { return };
        let there = block.len().div_ceil(K::STEP);
        for Strip { start, width, .. } in strips.clone().filter(|_| there < steps) {
            // SAFETY: the packed strip begins where those before it end, and has `steps` rows.
            unsafe { to.add((start - origin) * steps + there * width).write_bytes(0, (steps - there) * width) };
        }
        if self.is_k_down {
            for first in (0..block.len()).step_by(ROWS) {
                let rows = ROWS.min(block.len() - first);
                let mut strips = strips.clone().peekable();
                while let Some(strip) = strips.next() {
                    // SAFETY: rows first..first + rows of the block and the strip's columns lie in the source; the packed strip
                    // begins where those before it end, and has `steps` rows. A second strip follows the first in both.
                    unsafe {
                        let from = self.from.as_ptr().add((block.start + first) * self.across + strip.start);
                        let to = to.add((strip.start - origin) * steps + first / K::STEP * strip.width);
                        let half = |it: &Strip| it.columns == it.width && 2 * it.width == K::LANES;
                        if half(&strip) && strips.next_if(half).is_some() {
                            K::pack_two_rows(from, self.across, rows, strip, to, to.add(steps * strip.width));
                        } else {
                            K::pack_rows(from, self.across, rows, strip, to);
                        }
                    }
                }
            }
        } else {
            for Strip { start, columns, width } in strips {
                // SAFETY: the strip's columns are `columns` rows of the source, k apart; the packed strip begins where those before
                // it end.
                unsafe {
                    let from = self.from.as_ptr().add(start * self.k + block.start);
                    K::pack_transposed(from, self.k, columns, block.len(), to.add((start - origin) * steps), width);
                }
            }
        }
    }
}

/// Copies `rows` rows of one strip, a step each; the common widths are compiled for, so that a row is a few moves.
///
/// # Safety
/// `from` is valid for reading `strip.columns` elements at `rows` multiples of `stride`, `to` for writing `rows * strip.width`.
pub(super) unsafe fn copy_strip(from: *const f32, stride: usize, rows: usize, strip: Strip, to: *mut f32) {
    // SAFETY: passed on; the fallback stays within the same extents.
    unsafe {
        match (strip.columns, strip.width) {
            (5, 5) => copy_rows::<5>(from, stride, rows, to),
            (6, 6) => copy_rows::<6>(from, stride, rows, to),
            (7, 7) => copy_rows::<7>(from, stride, rows, to),
            (8, 8) => copy_rows::<8>(from, stride, rows, to),
            (16, 16) => copy_rows::<16>(from, stride, rows, to),
            (48, 48) => copy_rows::<48>(from, stride, rows, to),
            (columns, width) => {
                for p in 0..rows {
                    to.add(p * width).copy_from_nonoverlapping(from.add(p * stride), columns);
                    to.add(p * width + columns).write_bytes(0, width - columns);
                }
            }
        }
    }
}

/// # Safety
/// `from` is valid for reading `W` elements at `rows` multiples of `stride`, `to` for writing `rows * W`.
unsafe fn copy_rows<const W: usize>(from: *const f32, stride: usize, rows: usize, to: *mut f32) {
    for p in 0..rows {
        // SAFETY: p < rows.
        unsafe { to.add(p * W).copy_from_nonoverlapping(from.add(p * stride), W) };
    }
}
