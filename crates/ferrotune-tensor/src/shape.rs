//! The extents of a tensor: up to four, copied by value. Knows no memory.

use std::fmt;

/// Extents of a contiguous row-major tensor, at most four of them. Rank 0 is a scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    rank: u8,
    dims: [usize; 4],
}

impl Shape {
    /// A shape of these extents. Panics above rank 4.
    #[track_caller]
    pub fn new(dims: &[usize]) -> Shape {
        assert!(dims.len() <= 4, "shape: expected at most 4 extents, got {dims:?}");
        let mut shape = Shape { rank: dims.len() as u8, dims: [1; 4] };
        shape.dims[..dims.len()].copy_from_slice(dims);
        shape
    }

    /// The shape of a single number.
    pub fn scalar() -> Shape {
        Shape::new(&[])
    }

    /// The extents.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// True if some extent is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last extent (1 for a scalar): the width of a row.
    pub fn width(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// The number of rows: elements divided by the width (0 for a width of 0).
    pub fn rows(&self) -> usize {
        self.len().checked_div(self.width()).unwrap_or(0)
    }

    /// Panics at the caller's line unless this shape is `[rows, width]` for some number of rows, which is returned.
    #[track_caller]
    pub fn expect_matrix(&self, op: &str, argument: &str, width: usize) -> usize {
        assert!(
            self.dims().len() == 2 && self.width() == width,
            "{op}: argument `{argument}`: expected [rows, {width}], got {self:?}"
        );
        self.dims()[0]
    }

    /// Panics at the caller's line unless this shape is exactly `dims`.
    #[track_caller]
    pub fn expect(&self, op: &str, argument: &str, dims: &[usize]) {
        assert!(self.dims() == dims, "{op}: argument `{argument}`: expected {dims:?}, got {self:?}");
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dims().fmt(f)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape::new(dims)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Shape {
        Shape::new(&dims)
    }
}
