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
    for i in 0..rows {
        let mut row = [0.0f32; NR];
        // SAFETY: row i < rows has `columns <= NR` elements.
        unsafe { row.as_mut_ptr().copy_from_nonoverlapping(from.add(i * stride), columns) };
        for value in &mut row {
            *value = vmath::gelu::<L>(*value);
        }
        // SAFETY: as above.
        unsafe { to.add(i * stride).copy_from_nonoverlapping(row.as_ptr(), columns) };
    }
}
