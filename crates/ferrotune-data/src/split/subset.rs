//! [`subset`]: a share of the training rows that is like all of them, and part of every larger share. It knows nothing of files or messages.

use crate::split::hold_out::classes;
use crate::{Need, Row, shuffled};

/// Whether each row belongs to the share: a pure function of its arguments.
///
/// The rows of every share are among those of every larger one of the same seed. Each class has its share of them, rounded, and at least one row as
/// long as there are as many rows as classes. What a class is says [`hold_out`](crate::hold_out()). At least one row belongs to it, and with a share of 1 all do.
pub fn subset(rows: &[Row], need: Need, share: f64, seed: u64) -> Vec<bool> {
    let classes = classes(rows, need);
    let mut sizes = vec![0_usize; classes.iter().max().map_or(0, |&most| most + 1)];
    classes.iter().for_each(|&class| sizes[class] += 1);
    // All rows in one order, of which every beginning has the shares of the whole: the k-th row of a class stands where k + 1/2 of its rows are
    // of all, and the first of each class before all others.
    let mut counts = vec![0_usize; sizes.len()];
    let place = |row: usize| {
        let (before, size) = (&mut counts[classes[row]], sizes[classes[row]]);
        let place = if *before == 0 { 0.0 } else { (*before as f64 + 0.5) / size as f64 };
        *before += 1;
        (row, place)
    };
    let mut order: Vec<(usize, f64)> = shuffled(rows.len(), seed, 0).into_iter().map(place).collect();
    // Stable: of equal places in the shuffled order.
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let wanted = subset_rows(rows.len(), share);
    let mut belongs = vec![false; rows.len()];
    order.into_iter().take(wanted).for_each(|(row, _)| belongs[row] = true);
    belongs
}

/// How many of `rows` rows belong to a share.
pub fn subset_rows(rows: usize, share: f64) -> usize {
    ((share * rows as f64).round() as usize).clamp(1, rows.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(labels: &[&str]) -> Vec<Row> {
        let row = |(n, label): (usize, &&str)| Row {
            text: format!("text {n}"),
            text_b: None,
            words: None,
            label: Some(label.to_string()),
            line: n as u64 + 2,
        };
        labels.iter().enumerate().map(row).collect()
    }

    /// 200 rows: 150 of a, 45 of b, 4 of c, one of d.
    fn uneven() -> Vec<Row> {
        let labels: Vec<&str> = (0..200)
            .map(|n| {
                if n == 77 {
                    "d"
                } else if n % 50 == 9 {
                    "c"
                } else if n % 4 == 0 && n > 19 {
                    "b"
                } else {
                    "a"
                }
            })
            .collect();
        rows(&labels)
    }

    #[test]
    fn shares_are_nested_and_have_their_part_of_each_class() {
        let rows = uneven();
        let count = |marked: &[bool], label: &str| {
            rows.iter().zip(marked).filter(|(row, marked)| **marked && row.label.as_deref() == Some(label)).count()
        };
        let all = vec![true; 200];
        let mut smaller = vec![false; 200];
        for share in [0.03, 0.125, 0.25, 0.5, 0.9, 1.0] {
            let marked = subset(&rows, Need::Labels, share, 5);
            assert_eq!(marked.iter().filter(|&&marked| marked).count(), (share * 200.0_f64).round() as usize);
            assert!(smaller.iter().zip(&marked).all(|(small, large)| *large || !small), "{share} is not nested");
            for label in ["a", "b", "c", "d"] {
                let (got, wanted) = (count(&marked, label), share * count(&all, label) as f64);
                // Rounded, and what c and d have too much the others lack.
                assert!(got >= 1 && (got as f64 - wanted).abs() <= 2.0, "{share} of {label}: {got}, {wanted}");
            }
            smaller = marked;
        }
        assert_eq!(smaller, all);
    }

    #[test]
    fn the_seed_decides_and_small_tables_have_a_row() {
        let rows = uneven();
        assert_eq!(subset(&rows, Need::Labels, 0.25, 5), subset(&rows, Need::Labels, 0.25, 5));
        assert_ne!(subset(&rows, Need::Labels, 0.25, 5), subset(&rows, Need::Labels, 0.25, 6));
        assert_eq!(subset(&rows[..1], Need::Labels, 0.1, 0), [true]);
        assert_eq!(subset(&rows[..3], Need::TextOnly, 0.34, 0).iter().filter(|&&marked| marked).count(), 1);
        assert_eq!(subset(&[], Need::Labels, 0.5, 0), [false; 0]);
    }
}
