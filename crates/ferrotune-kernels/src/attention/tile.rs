//! The tiles that forward and backward of attention are made of, and views of them and of one head's part of a matrix. Must not know
//! sequences, targets or what is computed.
//!
//! A tile is at most [`TILE`] queries by [`TILE`] keys. Its rows lie `columns(keys)` apart, whole vectors: columns beyond the keys repeat
//! products with the last key, and nobody may read them as a result.

use super::{MAX_HEAD_DIM, Place};
use crate::par::DisjointMut;
use crate::vector::{LANES, prefetch};

/// Queries and keys of a tile.
pub(super) const TILE: usize = 64;

/// Memory whose vectors do not straddle cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Aligned<const N: usize>(pub(super) [f32; N]);

/// Scores, probabilities or their gradients of a tile: `[queries, columns(keys)]`.
pub(super) type Scores = Aligned<{ TILE * TILE }>;
/// Keys or values of a tile, transposed: `[d, columns(keys)]`.
pub(super) type Transposed = Aligned<{ MAX_HEAD_DIM * TILE }>;
/// A number for each row of a tile.
pub(super) type Factors = Aligned<TILE>;

/// Columns of a tile of so many keys.
pub(super) fn columns(keys: usize) -> usize {
    keys.next_multiple_of(LANES)
}

/// A matrix that is only read: element (i, j) is `data[first + i·row + j·column]`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) first: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<'a> View<'a> {
    /// One head's columns, from `row` on, of a matrix that lies at `place` in `data`.
    pub(super) fn of_head(data: &'a [f32], place: Place, row: usize, column: usize) -> Self {
        View { data, first: row * place.stride + place.first + column, row: place.stride, column: 1 }
    }

    /// A tile of `columns`.
    pub(super) fn of_tile<const N: usize>(tile: &'a Aligned<N>, columns: usize) -> Self {
        View { data: &tile.0, first: 0, row: columns, column: 1 }
    }

    /// Rows become columns.
    pub(super) fn transposed(self) -> Self {
        View { row: self.column, column: self.row, ..self }
    }

    /// Asserts that `rows × cols` elements lie inside the data.
    #[inline(always)]
    pub(super) fn check(&self, rows: usize, cols: usize) {
        if rows > 0 && cols > 0 {
            let last = self.first + (rows - 1) * self.row + (cols - 1) * self.column;
            assert!(last < self.data.len(), "attention: {rows} × {cols} elements outside their matrix");
        }
    }

    /// Asks for `rows × cols` elements in the second-level cache: what another unit will read soon. Rows lie too far apart for the
    /// processor to see by itself what comes next.
    pub(super) fn prefetch(&self, rows: usize, cols: usize) {
        for i in 0..rows.min(TILE) {
            for j in (0..cols).step_by(LANES) {
                prefetch(self.pointer(i, j));
            }
        }
    }

    /// A pointer to element (i, j), which may lie outside.
    #[inline(always)]
    pub(super) fn pointer(&self, i: usize, j: usize) -> *const f32 {
        self.data.as_ptr().wrapping_add(self.first + i * self.row + j * self.column)
    }
}

/// A matrix that is written: a block of rows and columns of memory whose other parts belong to other tasks.
pub(super) struct ViewMut<'a> {
    memory: DisjointMut<'a>,
    first: usize,
    stride: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl<'a> ViewMut<'a> {
    /// Row i is `memory[first + i·stride..][..cols]`.
    ///
    /// # Safety
    /// While the view is used, nobody else may hold any element of its rows, through whichever handle.
    pub(super) unsafe fn new(memory: DisjointMut<'a>, first: usize, stride: usize, rows: usize, cols: usize) -> Self {
        assert!(rows == 0 || cols <= stride, "attention: view of {cols} columns in rows of {stride}");
        Self { memory, first, stride, rows, cols }
    }

    /// A view of a local tile.
    pub(super) fn of_scores(scores: &'a mut Scores, rows: usize, cols: usize) -> Self {
        // SAFETY: the tile is borrowed for as long as the view lives.
        unsafe { Self::new(DisjointMut::new(&mut scores.0), 0, cols, rows, cols) }
    }

    /// `count` elements of a row.
    #[inline(always)]
    pub(super) fn row(&mut self, row: usize, from: usize, count: usize) -> &mut [f32] {
        assert!(row < self.rows && from + count <= self.cols);
        let start = self.first + row * self.stride + from;
        // SAFETY: inside the view, whose maker promised that nobody else holds it; `&mut self` keeps its own rows apart.
        unsafe { self.memory.range(start..start + count) }
    }

    /// As [`View::prefetch`], for what will be written.
    pub(super) fn prefetch(&self) {
        for i in 0..self.rows.min(TILE) {
            for j in (0..self.cols).step_by(LANES) {
                self.memory.prefetch(self.first + i * self.stride + j);
            }
        }
    }

    /// Zeros.
    pub(super) fn zero(mut self) {
        for i in 0..self.rows {
            let cols = self.cols;
            self.row(i, 0, cols).fill(0.0);
        }
    }
}
