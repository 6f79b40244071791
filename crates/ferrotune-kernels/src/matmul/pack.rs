//! Packing of a block of k of an operand into strips: tiles of A, panels of B. Where k runs down the rows this is a copy; where it
//! runs along them the instruction set transposes. Must not know C or tasks.

use std::ops::Range;

use super::tile::MicroKernel;

/// Rows that are copied of one strip before the next: few enough source lines to live in L1 even if all rows are 4 KiB apart,
/// enough to write runs of several lines.
const ROWS: usize = 8;

/// Rows of k that one packing task copies.
const ROWS_PER_PART: usize = 32;

/// Strips that one packing task transposes.
const STRIPS_PER_PART: usize = 4;

/// One strip of columns: a tile of A (its rows) or a panel of B.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip {
    /// First column.
    pub(super) start: usize,
    /// Columns that exist.
    pub(super) columns: usize,
    /// Columns in packed memory; those beyond `columns` are zeros.
    pub(super) width: usize,
}

/// An operand and where it is packed.
pub(super) struct Operand<'a> {
    pub(super) from: &'a [f32],
    /// Whether k runs down its rows or along them.
    pub(super) is_k_down: bool,
    /// Its other size, m or n.
    pub(super) across: usize,
    /// Number of tiles or panels.
    pub(super) strips: usize,
    /// A strip that starts at column s begins at `to[s * steps]` and has `steps` rows of its width.
    pub(super) to: *mut f32,
}

// SAFETY: `to` is written in disjoint parts, see `Operand::pack`.
unsafe impl Sync for Operand<'_> {}

impl Operand<'_> {
    /// Number of packing tasks for a block of `steps`.
    pub(super) fn parts(&self, steps: usize) -> usize {
        if self.is_k_down { steps.div_ceil(ROWS_PER_PART) } else { self.strips.div_ceil(STRIPS_PER_PART) }
    }

    /// One packing task for the block `steps` of `0..k`: some rows of k of all strips, or some strips whole.
    ///
    /// # Safety
    /// The processor has the instruction set of `K`; `from` has `across * k` elements; `strip(0..strips)` cut `across` without
    /// overlap; `to` is valid for writing `steps` times the sum of their widths; no other thread runs this part.
    pub(super) unsafe fn pack<K: MicroKernel>(
        &self,
        k: usize,
        steps: Range<usize>,
        part: usize,
        strip: impl Fn(usize) -> Strip,
    ) {
        let count = steps.len();
        if self.is_k_down {
            let end = ((part + 1) * ROWS_PER_PART).min(count);
            for first in (part * ROWS_PER_PART..end).step_by(ROWS) {
                let rows = ROWS.min(end - first);
                for strip in (0..self.strips).map(&strip) {
                    // SAFETY: rows first..first + rows of the block and the strip's columns lie in the source; these rows of the
                    // packed strip are this part's.
                    unsafe {
                        let from = self.from.as_ptr().add((steps.start + first) * self.across + strip.start);
                        let to = self.to.add(strip.start * count + first * strip.width);
                        copy_strip(from, self.across, rows, strip, to);
                    }
                }
            }
        } else {
            for i in part * STRIPS_PER_PART..((part + 1) * STRIPS_PER_PART).min(self.strips) {
                let Strip { start, columns, width } = strip(i);
                // SAFETY: the strip's columns are `columns` rows of the source, k apart; its packed memory is this part's.
                unsafe {
                    let from = self.from.as_ptr().add(start * k + steps.start);
                    K::pack_transposed(from, k, columns, count, self.to.add(start * count), width);
                }
            }
        }
    }
}

/// Copies `rows` rows of one strip; the common widths are compiled for, so that a row is a few moves.
///
/// # Safety
/// `from` is valid for reading `strip.columns` elements at `rows` multiples of `stride`, `to` for writing `rows * strip.width`.
unsafe fn copy_strip(from: *const f32, stride: usize, rows: usize, strip: Strip, to: *mut f32) {
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
