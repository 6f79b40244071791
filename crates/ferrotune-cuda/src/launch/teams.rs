//! Which threads compute a row of a matrix. Twin: `kernels/teams.cuh`. It must not know any kernel.

use crate::device::{Grid, THREADS};

/// Threads by rows.
pub(super) struct Teams {
    pub grid: Grid,
    /// Threads of a row.
    pub size: u32,
}

/// The widest row that a warp computes: 16 numbers a lane. Wider ones take a block.
const WARP_COLUMNS: usize = 512;

/// Blocks that fill any device several times over; where rows or elements are more, each takes several.
pub(super) const MOST_BLOCKS: usize = 4096;

impl Teams {
    /// For a matrix with at least one row.
    pub fn of(rows: usize, columns: usize) -> Teams {
        let size = if columns <= WARP_COLUMNS { 32 } else { THREADS };
        let blocks = rows.div_ceil((THREADS / size) as usize).min(MOST_BLOCKS);
        Teams { grid: Grid::blocks(blocks), size }
    }
}
