//! Products of tiles, and the transpose that makes keys lie side by side. Must not know what the matrices mean.
//!
//! A product goes block by block; a block is a few rows of a few vectors, whose sums stay in registers over the whole depth. Per step it
//! loads the vectors of a row of b and one number of each row of a:
//!
//! ```text
//!                 b0  b1        R rows × NV vectors of sums
//!   a[0] splat   s00 s01        s[r][j] += splat(a[r])·b[j]
//!   a[1] splat   s10 s11
//! ```
//!
//! Every element is one chain of multiply-adds over ascending depth, so it does not matter how rows and columns are cut.

use super::tile::{self, Aligned, Factors, TILE, Transposed, View, ViewMut};
use crate::isa::dispatch;
use crate::vector::{LANES, Vector, Wide};

/// What becomes of the sums of a product.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    /// What each row of c is multiplied by before the sums are added; without it c is not read.
    pub(super) keep: Option<&'a Factors>,
    /// What each row is multiplied by in the end.
    pub(super) factors: &'a Factors,
}

/// Factors that change nothing.
pub(super) const ONES: &Factors = &Aligned([1.0; TILE]);

impl Finish<'_> {
    /// `c = sums`.
    pub(super) const SET: Self = Finish { keep: None, factors: ONES };
    /// `c = c + sums`.
    pub(super) const ADD: Self = Finish { keep: Some(ONES), factors: ONES };
}

dispatch! {
    /// `c_i = factors_i·(keep_i·c_i + (a·b)_i)`. c gives the size `[m, n]`, `depth` the length of the sums, which run upwards. `b.column`
    /// must be 1, m at most `TILE`.
    pub(super) fn product(c: ViewMut<'_>, finish: Finish<'_>, a: View<'_>, b: View<'_>, depth: usize) = product_body;
    /// `out[j][i] = factor·x[i][j]` for `rows` rows of `cols`. Rows of out are `columns(rows)` long; columns too many repeat the last row.
    pub(super) fn transpose(out: &mut Transposed, x: View<'_>, rows: usize, cols: usize, factor: f32) = transpose_body;
}

/// Rows of the largest block of so many vectors.
const fn block_rows<V: Vector>(vectors: usize) -> usize {
    V::BLOCK_ROWS[vectors - 1]
}

/// The parts of a product that its blocks share.
#[derive(Clone, Copy)]
struct Operands<'a> {
    a: View<'a>,
    b: View<'a>,
    depth: usize,
    finish: Finish<'a>,
}

#[inline(always)]
fn product_body<L: Wide>(mut c: ViewMut<'_>, finish: Finish<'_>, a: View<'_>, b: View<'_>, depth: usize) {
    a.check(c.rows, depth);
    b.check(depth, c.cols);
    assert!(c.rows <= TILE && b.column == 1, "attention: product of {} rows", c.rows);
    let operands = Operands { a, b, depth, finish };
    let widest = L::Vector::BLOCK_ROWS.iter().filter(|&&rows| rows > 0).count();
    let mut left = c.cols / LANES;
    let mut column = 0;
    while left > 0 {
        // As even as possible: five vectors are 3 and 2, not 4 and 1.
        let vectors = left.div_ceil(left.div_ceil(widest));
        // SAFETY: a and b hold the whole product (checked above), and so these columns of it.
        unsafe {
            match vectors {
                1 => panel::<L::Vector, 1, true>(&mut c, operands, column, LANES),
                2 => panel::<L::Vector, 2, true>(&mut c, operands, column, LANES),
                3 => panel::<L::Vector, 3, true>(&mut c, operands, column, LANES),
                _ => panel::<L::Vector, 4, true>(&mut c, operands, column, LANES),
            }
        }
        column += vectors * LANES;
        left -= vectors;
    }
    let last = c.cols - column;
    if last > 0 {
        // SAFETY: as above.
        unsafe { panel::<L::Vector, 1, false>(&mut c, operands, column, last) };
    }
}

/// All rows of `NV` vectors of columns, of the last of which `last` exist: all if `WHOLE`.
///
/// # Safety
/// The processor has the instruction set of `V`, and the caller enables it; a and b hold every element that these columns of c need.
#[inline(always)]
unsafe fn panel<V: Vector, const NV: usize, const WHOLE: bool>(
    c: &mut ViewMut<'_>,
    operands: Operands<'_>,
    column: usize,
    last: usize,
) {
    if block_rows::<V>(NV) == 0 {
        unreachable!("no block has {NV} vectors");
    }
    let mut row = 0;
    while row < c.rows {
        let left = c.rows - row;
        let rows = left.div_ceil(left.div_ceil(block_rows::<V>(NV)));
        let at = (row, column, last);
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                1 => block::<V, 1, NV, WHOLE>(c, operands, at),
                2 => block::<V, 2, NV, WHOLE>(c, operands, at),
                3 => block::<V, 3, NV, WHOLE>(c, operands, at),
                4 => block::<V, 4, NV, WHOLE>(c, operands, at),
                5 => block::<V, 5, NV, WHOLE>(c, operands, at),
                6 => block::<V, 6, NV, WHOLE>(c, operands, at),
                7 => block::<V, 7, NV, WHOLE>(c, operands, at),
                _ => block::<V, 8, NV, WHOLE>(c, operands, at),
            }
        }
        row += rows;
    }
}

/// `R` rows and `NV` vectors of a product.
///
/// # Safety
/// As [`panel`].
#[inline(always)]
unsafe fn block<V: Vector, const R: usize, const NV: usize, const WHOLE: bool>(
    c: &mut ViewMut<'_>,
    operands: Operands<'_>,
    (row, column, last): (usize, usize, usize),
) {
    if R > block_rows::<V>(NV) {
        unreachable!("no block of {NV} vectors has {R} rows");
    }
    let Operands { a, b, depth, finish } = operands;
    let whole = |j: usize| WHOLE || j + 1 < NV;
    // SAFETY: all reads of a and b are those that the caller vouches for. Rows of c are slices of (NV - 1)·LANES + last elements.
    unsafe {
        let mut sums = [[V::zero(); NV]; R];
        let (mut a_step, mut b_step) = (a.pointer(row, 0), b.pointer(0, column));
        for _ in 0..depth {
            let mut columns = [V::zero(); NV];
            for j in 0..NV {
                let from = b_step.wrapping_add(j * LANES);
                columns[j] = if whole(j) { V::load(from) } else { V::load_first(from, last) };
            }
            for r in 0..R {
                let x = V::splat(*a_step.wrapping_add(r * a.row));
                for j in 0..NV {
                    sums[r][j] = sums[r][j].add_product(x, columns[j]);
                }
            }
            a_step = a_step.wrapping_add(a.column);
            b_step = b_step.wrapping_add(b.row);
        }
        for r in 0..R {
            let out = c.row(row + r, column, (NV - 1) * LANES + last).as_mut_ptr();
            let factor = V::splat(finish.factors.0[row + r]);
            for j in 0..NV {
                let out = out.add(j * LANES);
                let mut sum = sums[r][j];
                if let Some(keep) = finish.keep {
                    let old = if whole(j) { V::load(out) } else { V::load_first(out, last) };
                    sum = sum.add_product(old, V::splat(keep.0[row + r]));
                }
                let sum = sum.mul(factor);
                if whole(j) {
                    sum.store(out);
                } else {
                    sum.store_first(out, last);
                }
            }
        }
    }
}

#[inline(always)]
fn transpose_body<L: Wide>(out: &mut Transposed, x: View<'_>, rows: usize, cols: usize, factor: f32) {
    let stride = tile::columns(rows);
    x.check(rows, cols);
    assert!(x.column == 1 && cols * stride <= out.0.len(), "attention: transpose of {rows} × {cols}");
    for i in (0..rows).step_by(LANES) {
        for c in (0..cols).step_by(LANES) {
            let count = LANES.min(cols - c);
            // SAFETY: row i + r is at most the last, and has `count` elements from c on; out has `cols` rows of `stride`, of which these are
            // whole vectors.
            unsafe {
                let factor = L::Vector::splat(factor);
                let mut block = [factor; LANES];
                for r in 0..LANES {
                    let from = x.pointer((i + r).min(rows - 1), c);
                    let row = if count == LANES { L::Vector::load(from) } else { L::Vector::load_first(from, count) };
                    block[r] = row.mul(factor);
                }
                let block = L::Vector::transpose(block);
                for r in 0..LANES {
                    if r < count {
                        block[r].store(out.0.as_mut_ptr().add((c + r) * stride + i));
                    }
                }
            }
        }
    }
}
