//! Products of a matrix with a table, head by head: what each row of the one has to say to each row of the other. Must not know what the rows stand for.
//!
//! Shapes: x `[T, w]`, p `[N, w]`, y `[T, H·N]`, with w = H·d and head h in the columns `h·d..(h+1)·d`:
//!
//! ```text
//! y[t, h·N + n] = x_th · p_nh      dx_th = Σ_n dy[t, h·N + n]·p_nh      dp_nh = Σ_t dy[t, h·N + n]·x_th
//! ```
//!
//! Every number is one chain of multiply-adds over ascending index, computed by one task.

use std::ops::Range;

use super::product::{self, Finish};
use super::tile::{self, Aligned, TILE, View, ViewMut};
use super::{AttentionDims, MAX_HEAD_DIM};
use crate::isa;
use crate::par::{self, DisjointMut};
use crate::real::Real;
use crate::target::Target;

/// Sizes of [`forward`] and [`backward`].
#[derive(Clone, Copy, Debug)]
pub struct HeadProducts {
    /// T.
    pub rows: usize,
    /// N.
    pub table: usize,
    /// H and d.
    pub heads: AttentionDims,
}

impl HeadProducts {
    /// H·N, the length of a row of y.
    pub fn width(&self) -> usize {
        self.heads.heads * self.table
    }

    fn check(&self, op: &str, x: usize, p: usize, y: usize) {
        let AttentionDims { heads, head_dim } = self.heads;
        assert!(heads > 0 && (1..=MAX_HEAD_DIM).contains(&head_dim), "{op}: heads: got {:?}", self.heads);
        let w = self.heads.width();
        let sizes = [("x", x, self.rows * w), ("p", p, self.table * w), ("y", y, self.rows * self.width())];
        for (name, len, want) in sizes {
            assert_eq!(len, want, "{op}: {name}: expected {want} elements, got {len}");
        }
    }

    /// One head's columns of x or p, from `row` on.
    fn of_head<'a>(&self, data: &'a [f32], row: usize, head: usize) -> View<'a> {
        let AttentionDims { head_dim, .. } = self.heads;
        View { data, first: row * self.heads.width() + head * head_dim, row: self.heads.width(), column: 1 }
    }

    /// One head's columns of y, from this row and row of the table on.
    fn of_scores<'a>(&self, data: &'a [f32], row: usize, entry: usize, head: usize) -> View<'a> {
        View { data, first: row * self.width() + head * self.table + entry, row: self.width(), column: 1 }
    }

    /// Calls `work(head, some)` for tiles of `0..rows` of each head.
    fn for_each_tile(&self, rows: usize, work: impl Fn(usize, Range<usize>) + Sync) {
        let tiles = rows.div_ceil(TILE);
        par::for_each_chunk(self.heads.heads * tiles, 1, |index, _| {
            let start = index % tiles * TILE;
            work(index / tiles, start..rows.min(start + TILE));
        });
    }
}

/// Writes y.
///
/// # Panics
/// If a slice has another length than its shape, or d is above [`MAX_HEAD_DIM`].
pub fn forward(y: &mut [f32], x: &[f32], p: &[f32], dims: HeadProducts) {
    dims.check("head products", x.len(), p.len(), y.len());
    let (isa, d, y) = (isa::current(), dims.heads.head_dim, DisjointMut::new(y));
    dims.for_each_tile(dims.table, |head, entries| {
        let mut table = Aligned([0.0; MAX_HEAD_DIM * TILE]);
        let n = entries.len();
        product::transpose(isa, &mut table, dims.of_head(p, entries.start, head), n, d, 1.0);
        let table = View::of_tile(&table, tile::columns(n));
        for row in (0..dims.rows).step_by(TILE) {
            let first = row * dims.width() + head * dims.table + entries.start;
            // SAFETY: these columns belong to this task alone, which makes one view at a time.
            let y = unsafe { ViewMut::new(y, first, dims.width(), TILE.min(dims.rows - row), n) };
            product::product(isa, y, Finish::SET, dims.of_head(x, row, head), table, d);
        }
    });
}

/// Gradients by x and p.
///
/// # Panics
/// As [`forward`], or if a target differs in length from what it is the gradient of.
pub fn backward(dx: Target<'_>, dp: Target<'_>, dy: &[f32], x: &[f32], p: &[f32], dims: HeadProducts) {
    let op = "head products backward";
    dims.check(op, x.len(), p.len(), dy.len());
    let (isa, d, w) = (isa::current(), dims.heads.head_dim, dims.heads.width());
    let finish = |beta: f32| if beta == 0.0 { Finish::SET } else { Finish::ADD };
    let rows_of = |memory, some: &Range<usize>, head: usize| {
        // SAFETY: these rows and columns belong to one task alone, which makes this one view.
        unsafe { ViewMut::new(memory, some.start * w + head * d, w, some.len(), d) }
    };
    if let Some((dx, beta)) = dx {
        assert_eq!(dx.len(), x.len(), "{op}: dx: expected {} elements, got {}", x.len(), dx.len());
        let dx = DisjointMut::new(dx);
        dims.for_each_tile(dims.rows, |head, rows| {
            let dy = dims.of_scores(dy, rows.start, 0, head);
            product::product(isa, rows_of(dx, &rows, head), finish(beta), dy, dims.of_head(p, 0, head), dims.table);
        });
    }
    if let Some((dp, beta)) = dp {
        assert_eq!(dp.len(), p.len(), "{op}: dp: expected {} elements, got {}", p.len(), dp.len());
        let dp = DisjointMut::new(dp);
        dims.for_each_tile(dims.table, |head, entries| {
            let dy = dims.of_scores(dy, 0, entries.start, head).transposed();
            product::product(isa, rows_of(dp, &entries, head), finish(beta), dy, dims.of_head(x, 0, head), dims.rows);
        });
    }
}

/// The specification.
pub mod textbook {
    use super::{HeadProducts, Real};

    /// Calls `visit(element of y, element of x, element of p)` for every product.
    fn for_each_product(dims: HeadProducts, mut visit: impl FnMut(usize, usize, usize)) {
        let (d, w) = (dims.heads.head_dim, dims.heads.width());
        for t in 0..dims.rows {
            for c in 0..w {
                for n in 0..dims.table {
                    visit(t * dims.width() + c / d * dims.table + n, t * w + c, n * w + c);
                }
            }
        }
    }

    /// y.
    pub fn forward<T: Real>(x: &[T], p: &[T], dims: HeadProducts) -> Vec<T> {
        let mut y = vec![T::zero(); dims.rows * dims.width()];
        for_each_product(dims, |at, i, j| y[at] += x[i] * p[j]);
        y
    }

    /// `(dx, dp)` from dy.
    pub fn backward<T: Real>(dy: &[T], x: &[T], p: &[T], dims: HeadProducts) -> (Vec<T>, Vec<T>) {
        let (mut dx, mut dp) = (vec![T::zero(); x.len()], vec![T::zero(); p.len()]);
        for_each_product(dims, |at, i, j| {
            dx[i] += dy[at] * p[j];
            dp[j] += dy[at] * x[i];
        });
        (dx, dp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    fn check(rows: usize, table: usize, heads: usize, head_dim: usize) {
        let dims = HeadProducts { rows, table, heads: AttentionDims { heads, head_dim } };
        let w = dims.heads.width();
        let (x, p, dy) = (values(1, rows * w), values(2, table * w), values(3, rows * dims.width()));
        let [wide_x, wide_p, wide_dy] = [&x, &p, &dy].map(|values| widen(values));
        let y = same_bits("head products", || {
            let mut y = vec![f32::NAN; dy.len()];
            forward(&mut y, &x, &p, dims);
            y
        });
        // A chain of n multiply-adds of numbers below 2: at most n·4·n·2^-24, in practice far less.
        let bound = |n: usize| (n as f64).powf(1.5).max(1.0) * 4.0 * 2f64.powi(-24);
        assert_close("y", &y, &textbook::forward(&wide_x, &wide_p, dims), bound(head_dim));
        let (want_dx, want_dp) = textbook::backward(&wide_dy, &wide_x, &wide_p, dims);
        let dx = targets("dx", x.len(), |target| backward(target, None, &dy, &x, &p, dims));
        let dp = targets("dp", p.len(), |target| backward(None, target, &dy, &x, &p, dims));
        assert_close("dx", &dx, &want_dx, bound(table));
        assert_close("dp", &dp, &want_dp, bound(rows));
    }

    #[test]
    fn both_directions_follow_the_textbook() {
        for (rows, table, heads, head_dim) in [
            (1, 1, 1, 1),
            (5, 32, 3, 1),
            (70, 65, 2, 20),
            (130, 200, 3, 32),
            (64, 64, 1, 64),
            (0, 3, 2, 4),
            (9, 0, 2, 4),
        ] {
            check(rows, table, heads, head_dim);
        }
    }

    #[test]
    fn textbook_backward_is_the_slope_of_the_textbook_forward() {
        let dims = HeadProducts { rows: 3, table: 4, heads: AttentionDims { heads: 2, head_dim: 3 } };
        let [x, p, dy] = [(1, 18), (2, 24), (3, 24)].map(|(seed, n)| widen(&values(seed, n)));
        let (dx, dp) = textbook::backward(&dy, &x, &p, dims);
        assert_close_f64("dx", &dx, &gradient(&x, |x| project(&textbook::forward(x, &p, dims), &dy)), 1e-8);
        assert_close_f64("dp", &dp, &gradient(&p, |p| project(&textbook::forward(&x, p, dims), &dy)), 1e-8);
    }

    #[test]
    #[should_panic(expected = "head products: p: expected 24 elements, got 23")]
    fn a_short_table_panics() {
        let dims = HeadProducts { rows: 3, table: 4, heads: AttentionDims { heads: 2, head_dim: 3 } };
        forward(&mut [0.0; 24], &[0.0; 18], &[0.0; 23], dims);
    }
}
