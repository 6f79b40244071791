//! Sums of rows of embedding tables, and the gradient of one table. Must not know which table holds words or positions.
//!
//! Shapes: table: `[v, w]`, one v per table; ids: `[t]`, numbers below v; y, dy: `[t, w]`; dtable: `[v, w]`.
//! `y[i] = Σ_tables table[ids[i]]`, `dtable[r] += Σ_{i: ids[i] = r} dy[i]` with i ascending.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::target::Target;

/// `y[i] = Σ table[ids[i]]` over the (table, ids) pairs, in their order.
///
/// # Panics
/// If the lengths do not fit or an id is outside its table.
pub fn gather_sum(y: &mut [f32], tables: &[(&[f32], &[u32])], width: usize) {
    if y.is_empty() {
        return;
    }
    assert!(width > 0 && y.len().is_multiple_of(width), "gather_sum: y: {} elements are no rows of {width}", y.len());
    for (number, (_, ids)) in tables.iter().enumerate() {
        let count = y.len() / width;
        assert_eq!(ids.len(), count, "gather_sum: ids of table {number}: expected {count}, got {}", ids.len());
    }
    let chunk = par::rows_per_chunk(par::CHUNK, width) * width;
    let isa = isa::current();
    par::for_each_chunk_mut(y, chunk, |start, y| gather_chunk(isa, y, start / width, tables, width));
}

/// Adds each row of dy to the row of the table that it came from; with beta 0 rows that do not occur become 0.
///
/// `order` is scratch that the caller keeps between steps, so that it is allocated once.
///
/// # Panics
/// If the lengths do not fit or an id is outside the table.
pub fn scatter_add(dtable: Target<'_>, dy: &[f32], ids: &[u32], width: usize, order: &mut Vec<u32>) {
    let Some((dtable, beta)) = dtable else { return };
    assert_eq!(dy.len(), ids.len() * width, "scatter_add: dy: expected {} rows of {width}", ids.len());
    if dtable.is_empty() && ids.is_empty() {
        return;
    }
    let whole = width > 0 && dtable.len().is_multiple_of(width);
    assert!(whole, "scatter_add: dtable: {} elements are no rows of {width}", dtable.len());
    order.clear();
    order.extend(0..ids.len() as u32);
    // Sorted by (id, position): all rows of one id lie together in ascending order, whoever adds them.
    order.sort_unstable_by_key(|&i| (ids[i as usize], i));
    if let Some(&last) = order.last() {
        let (id, count) = (ids[last as usize], dtable.len() / width);
        assert!((id as usize) < count, "scatter_add: ids: id {id} of a table of {count} rows");
    }
    let order: &[u32] = order;
    let isa = isa::current();
    par::for_each_chunk_mut(dtable, par::rows_per_chunk(4 * par::CHUNK, width) * width, |start, part| {
        let (first, end) = (start / width, (start + part.len()) / width);
        let from = order.partition_point(|&i| (ids[i as usize] as usize) < first);
        let to = order.partition_point(|&i| (ids[i as usize] as usize) < end);
        if beta == 0.0 {
            part.fill(0.0);
        }
        scatter_chunk(isa, part, first, dy, ids, &order[from..to], width);
    });
}

dispatch! {
    fn gather_chunk(y: &mut [f32], first: usize, tables: &[(&[f32], &[u32])], width: usize) = gather_body;
    fn scatter_chunk(part: &mut [f32], first: usize, dy: &[f32], ids: &[u32], order: &[u32], width: usize) = scatter_body;
}

#[inline(always)]
fn gather_body<L: Lane>(y: &mut [f32], first: usize, tables: &[(&[f32], &[u32])], width: usize) {
    for (i, y) in y.chunks_exact_mut(width).enumerate() {
        if tables.is_empty() {
            y.fill(0.0);
        }
        for (number, (table, ids)) in tables.iter().enumerate() {
            let id = ids[first + i];
            let start = id as usize * width;
            let Some(row) = table.get(start..start + width) else {
                panic!("gather_sum: ids of table {number}: id {id} of a table of {} rows", table.len() / width);
            };
            if number == 0 {
                y.copy_from_slice(row);
            } else {
                y.iter_mut().zip(row).for_each(|(y, &x)| *y += x);
            }
        }
    }
}

#[inline(always)]
fn scatter_body<L: Lane>(part: &mut [f32], first: usize, dy: &[f32], ids: &[u32], order: &[u32], width: usize) {
    for &i in order {
        let row = ids[i as usize] as usize - first;
        let dy = &dy[i as usize * width..][..width];
        part[row * width..][..width].iter_mut().zip(dy).for_each(|(out, &dy)| *out += dy);
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`gather_sum`](super::gather_sum).
    pub fn gather_sum<T: Real>(tables: &[(&[T], &[u32])], count: usize, width: usize) -> Vec<T> {
        let mut y = vec![T::zero(); count * width];
        for (table, ids) in tables {
            for i in 0..count {
                for c in 0..width {
                    y[i * width + c] += table[ids[i] as usize * width + c];
                }
            }
        }
        y
    }

    /// See [`scatter_add`](super::scatter_add), into zeros of `rows` rows.
    pub fn scatter_add<T: Real>(dy: &[T], ids: &[u32], rows: usize, width: usize) -> Vec<T> {
        let mut dtable = vec![T::zero(); rows * width];
        for (i, &id) in ids.iter().enumerate() {
            for c in 0..width {
                dtable[id as usize * width + c] += dy[i * width + c];
            }
        }
        dtable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

    /// Ids with many repeats and, for tables larger than 3, rows that never occur.
    fn ids(count: usize, rows: usize) -> Vec<u32> {
        (0..count).map(|i| (i * i % 1009 % rows.div_ceil(2).max(1)) as u32).collect()
    }

    #[test]
    fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for (count, rows, width) in [(0, 0, 4), (0, 3, 4), (1, 1, 1), (9, 5, 7), (40, 2, 33), (700, 3000, 384)] {
            let (words, kinds) = (values(1, rows * width), values(2, 2 * width));
            let (word_ids, kind_ids) = (ids(count, rows), ids(count, 2));
            let y = same_bits("gather_sum", || {
                let mut y = vec![f32::NAN; count * width];
                gather_sum(&mut y, &[(&words, &word_ids), (&kinds, &kind_ids)], width);
                y
            });
            let (wide_words, wide_kinds) = (widen(&words), widen(&kinds));
            let want = textbook::gather_sum(&[(&wide_words, &word_ids), (&wide_kinds, &kind_ids)], count, width);
            // One addition of numbers below 2.
            assert_close("y", &y, &want, 2.0 * 2f64.powi(-24));
            let dy = values(3, count * width);
            let want = textbook::scatter_add(&widen(&dy), &word_ids, rows, width);
            let dtable = targets("dtable", rows * width, |d| scatter_add(d, &dy, &word_ids, width, &mut vec![]));
            // At most 40 additions an element of partial sums that stay below 32.
            assert_close("dtable", &dtable, &want, 40.0 * 32.0 * 2f64.powi(-25));
        }
    }

    #[test]
    fn textbook_scatter_is_the_slope_of_the_textbook_gather() {
        let (table, dy, ids) = (widen(&values(3, 12)), widen(&values(4, 15)), [3, 1, 3, 0, 3]);
        let want = gradient(&table, |table| project(&textbook::gather_sum(&[(table, &ids)], 5, 3), &dy));
        assert_close_f64("dtable", &textbook::scatter_add(&dy, &ids, 4, 3), &want, 1e-8);
    }

    #[test]
    #[should_panic(expected = "scatter_add: ids: id 4 of a table of 4 rows")]
    fn an_id_outside_the_table_panics() {
        scatter_add(Some((&mut [0.0; 8], 0.0)), &[0.0; 4], &[4, 0], 2, &mut vec![]);
    }
}
