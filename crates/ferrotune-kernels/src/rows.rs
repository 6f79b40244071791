//! Picks rows of a matrix, and the way back: the `[CLS]` rows that a head reads. Must not know what the rows mean.
//!
//! Shapes: x, dx: `[n, w]`; y, dy: `[b, w]`; rows: `[b]`, numbers below n. `y_i = x[rows_i]`, `dx[rows_i] += dy_i`.

use crate::par;
use crate::target::Target;

/// `y[i] = x[rows[i]]` for rows of `width`.
///
/// # Panics
/// If y is not `rows.len()·width` long or a row is outside x.
pub fn gather(y: &mut [f32], x: &[f32], rows: &[u32], width: usize) {
    assert_eq!(y.len(), rows.len() * width, "rows::gather: y: expected {} rows of {width}", rows.len());
    if width == 0 {
        return;
    }
    let chunk = par::rows_per_chunk(par::CHUNK, width) * width;
    par::for_each_chunk_mut(y, chunk, |start, y| {
        for (y, &row) in y.chunks_exact_mut(width).zip(&rows[start / width..]) {
            y.copy_from_slice(row_of("rows::gather", x, row, width));
        }
    });
}

/// `dx[rows[i]] += dy[i]`; with beta 0 every other row becomes 0. A row that occurs twice gets both, in the order of `rows`.
///
/// # Panics
/// If dy is not `rows.len()·width` long or a row is outside dx.
pub fn scatter_add(dx: Target<'_>, dy: &[f32], rows: &[u32], width: usize) {
    let Some((dx, beta)) = dx else { return };
    assert_eq!(dy.len(), rows.len() * width, "rows::scatter_add: dy: expected {} rows of {width}", rows.len());
    if beta == 0.0 {
        par::for_each_chunk_mut(dx, 8 * par::CHUNK, |_, dx| dx.fill(0.0));
    }
    for (&row, dy) in rows.iter().zip(dy.chunks_exact(width.max(1))) {
        row_of("rows::scatter_add", dx, row, width);
        let dx = &mut dx[row as usize * width..][..width];
        dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
    }
}

fn row_of<'a>(op: &str, x: &'a [f32], row: u32, width: usize) -> &'a [f32] {
    let start = row as usize * width;
    x.get(start..start + width)
        .unwrap_or_else(|| panic!("{op}: rows: row {row} of a matrix of {} rows", x.len() / width))
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`gather`](super::gather).
    pub fn gather<T: Real>(x: &[T], rows: &[u32], width: usize) -> Vec<T> {
        rows.iter().flat_map(|&row| x[row as usize * width..][..width].to_vec()).collect()
    }

    /// See [`scatter_add`](super::scatter_add), into zeros of `count` rows.
    pub fn scatter_add<T: Real>(dy: &[T], rows: &[u32], count: usize, width: usize) -> Vec<T> {
        let mut dx = vec![T::zero(); count * width];
        for (i, &row) in rows.iter().enumerate() {
            for c in 0..width {
                dx[row as usize * width + c] += dy[i * width + c];
            }
        }
        dx
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for (n, b, width) in [(5, 0, 3), (1, 1, 1), (9, 4, 7), (0, 0, 4), (2000, 700, 384)] {
            let rows: Vec<u32> = (0..b).map(|i| (i * 7 % 2003 % n.max(1)) as u32).collect();
            let x = values(1, n * width);
            let y = same_bits("gather", || {
                let mut y = vec![f32::NAN; b * width];
                gather(&mut y, &x, &rows, width);
                y
            });
            assert_eq!(y, textbook::gather(&x, &rows, width));
            let dy = values(2, b * width);
            let dx = targets("dx", n * width, |dx| scatter_add(dx, &dy, &rows, width));
            // At most one addition an element here.
            assert_close("dx", &dx, &textbook::scatter_add(&widen(&dy), &rows, n, width), 4.0 * 2f64.powi(-24));
        }
    }

    #[test]
    fn textbook_scatter_is_the_slope_of_the_textbook_gather() {
        let (x, dy, rows) = (widen(&values(3, 12)), widen(&values(4, 6)), [3, 1]);
        let want = gradient(&x, |x| project(&textbook::gather(x, &rows, 3), &dy));
        assert_close_f64("dx", &textbook::scatter_add(&dy, &rows, 4, 3), &want, 1e-8);
    }

    #[test]
    #[should_panic(expected = "rows::gather: rows: row 4 of a matrix of 4 rows")]
    fn a_row_outside_panics() {
        gather(&mut [0.0; 2], &[0.0; 8], &[4], 2);
    }
}
