//! The GELU of a finished panel of C. (The bias is added in registers, by `tile.rs`.) Must not know blocking or threads.

use crate::isa::Lane;
use crate::vmath;

/// `to = gelu(from)` for `rows × columns`, `columns <= NR`, row stride `stride` in both.
///
/// # Safety
/// `from` is valid for reading and `to` for writing the rectangle; they do not overlap, and no other thread writes them meanwhile.
#[inline(always)]
pub(super) unsafe fn gelu_panel<L: Lane, const NR: usize>(
    to: *mut f32,
    from: *const f32,
    rows: usize,
    columns: usize,
    stride: usize,
) {
    // Two bodies, so that the copies of a full panel have a size that the compiler knows.
    for i in 0..rows {
        let mut row = [0.0f32; NR];
        // SAFETY: row i < rows has `columns <= NR` elements.
        unsafe {
            let (from, to) = (from.add(i * stride), to.add(i * stride));
            if columns == NR {
                row.as_mut_ptr().copy_from_nonoverlapping(from, NR);
                gelu_row::<L>(&mut row);
                to.copy_from_nonoverlapping(row.as_ptr(), NR);
            } else {
                row.as_mut_ptr().copy_from_nonoverlapping(from, columns);
                gelu_row::<L>(&mut row);
                to.copy_from_nonoverlapping(row.as_ptr(), columns);
            }
        }
    }
}

#[inline(always)]
fn gelu_row<L: Lane>(row: &mut [f32]) {
    for value in row {
        *value = vmath::gelu::<L>(*value);
    }
}
