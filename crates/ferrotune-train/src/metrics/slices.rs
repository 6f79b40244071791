//! A classifier on parts of the rows: its figures there, and whether it is better or worse than on all other rows beyond chance. Must not know what
//! the parts have in common.

use super::bootstrap::percentiles;
use super::exact::{fisher, holm, wilson};
use super::tally::Tally;
use super::{Classified, Interval, RESAMPLES, ratio};
use ferrotune_data::resampled;
use serde::{Deserialize, Serialize};

/// An interval by resampling is not given for fewer rows: it is far too narrow there (of one row it has no width).
pub const FEWEST_RESAMPLED: usize = 10;
/// Adjusted p-values below this are called a difference.
pub const LEVEL: f64 = 0.05;

/// How a slice compares with all other rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// Fewer of its rows are right.
    Worse,
    /// More of its rows are right.
    Better,
    /// Nothing beyond chance.
    Alike,
}

/// A part of the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its rows; at least one.
    pub rows: u64,
    /// Share of them predicted right.
    pub accuracy: f64,
    /// See [`wilson`].
    pub accuracy_interval: Interval,
    /// Mean F1 over the classes that are labels or predictions here.
    pub f1_macro: f64,
    /// 95 % percentile interval of 1000 resamples of its rows; `None` for fewer than [`FEWEST_RESAMPLED`].
    pub f1_macro_interval: Option<Interval>,
    /// Accuracy on all other rows; `None` where there are none, as are the next two.
    pub rest: Option<f64>,
    /// Fisher's exact test that its share of right rows is that of all others, see [`fisher`].
    pub p: Option<f64>,
    /// The same adjusted for the number of slices looked at, see [`holm`].
    pub p_adjusted: Option<f64>,
    /// What [`LEVEL`] says of that.
    pub against_rest: Against,
}

impl Classified {
    /// The figures of parts of the rows, in their order: a pure function of its arguments. The p-values of all are adjusted together. Rows may be in
    /// several slices or in none.
    ///
    /// # Panics
    /// When a slice has no rows, or there is no such row.
    pub fn slices(&self, slices: &[Vec<usize>], seed: u64) -> Vec<Slice> {
        let right = |row: usize| self.labels[row] == self.predictions[row];
        let rows = self.labels.len() as u64;
        let all_right = (0..self.labels.len()).filter(|&row| right(row)).count() as u64;
        let mut found: Vec<Slice> = slices.iter().map(|members| self.slice(members, rows, all_right, seed)).collect();
        let p: Vec<f64> = found.iter().filter_map(|slice| slice.p).collect();
        let tested = found.iter_mut().filter(|slice| slice.p.is_some());
        for (slice, adjusted) in tested.zip(holm(&p)) {
            slice.p_adjusted = Some(adjusted);
            if let Some(rest) = slice.rest.filter(|_| adjusted < LEVEL) {
                slice.against_rest = if slice.accuracy < rest { Against::Worse } else { Against::Better };
            }
        }
        found
    }

    fn slice(&self, members: &[usize], all: u64, all_right: u64, seed: u64) -> Slice {
        assert!(!members.is_empty(), "Classified::slices: a slice without rows");
        let empty = Tally::new(self.names.len());
        let count = |tally: &mut Tally, rows: &mut dyn Iterator<Item = usize>| {
            tally.set(&empty);
            rows.for_each(|row| tally.add(self.labels[row], self.predictions[row]));
        };
        let mut tally = empty.clone();
        count(&mut tally, &mut members.iter().copied());
        let (rows, right) = (members.len() as u64, tally.right());
        let (accuracy, f1_macro) = (tally.accuracy(), tally.f1_macro());
        let f1_macro_interval = (members.len() >= FEWEST_RESAMPLED).then(|| {
            let drawn = |number| {
                count(&mut tally, &mut resampled(members.len(), seed, number).map(|place| members[place]));
                tally.f1_macro()
            };
            percentiles((0..RESAMPLES as u64).map(drawn).collect())
        });
        let (others, others_right) = (all - rows, all_right - right);
        let has_rest = others > 0;
        Slice {
            rows,
            accuracy,
            accuracy_interval: wilson(right, rows).expect("a slice has rows"),
            f1_macro,
            f1_macro_interval,
            rest: has_rest.then(|| ratio(others_right, others)),
            p: has_rest.then(|| fisher((right, rows - right), (others_right, others - others_right))),
            p_adjusted: None,
            against_rest: Against::Alike,
        }
    }
}

/// Whole numbers cut at their quantiles into at most `bins` ranges of about as many rows, for [`Classified::slices`]: each with its least and its
/// greatest number and its rows. Equal numbers are in one range.
///
/// # Panics
/// When `bins` is 0.
pub fn quantiles(numbers: &[f64], bins: usize) -> Vec<(f64, f64, Vec<usize>)> {
    assert!(bins > 0, "quantiles: bins is 0, expected at least 1");
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut ranges = Vec::new();
    let mut start = 0;
    for bin in 1..=bins {
        let mut end = (bin * numbers.len()).div_ceil(bins);
        while end > 0 && end < numbers.len() && numbers[order[end]] == numbers[order[end - 1]] {
            end += 1;
        }
        if end > start {
            let mut rows = order[start..end].to_vec();
            let (least, greatest) = (numbers[rows[0]], numbers[rows[rows.len() - 1]]);
            rows.sort_unstable();
            ranges.push((least, greatest, rows));
            start = end;
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 rows of two classes, of which every tenth is wrong, and of the first 40 every second.
    fn classified() -> Classified {
        let labels: Vec<usize> = (0..400).map(|row| row / 2 % 2).collect();
        let wrong = |row: usize| row.is_multiple_of(10) || row < 40 && row.is_multiple_of(2);
        let said = labels.iter().enumerate().map(|(row, &label)| if wrong(row) { 1 - label } else { label });
        Classified {
            names: vec!["a".into(), "b".into(), "c".into()],
            predictions: said.collect(),
            labels,
            probabilities: vec![0.5; 1200],
        }
    }

    #[test]
    fn a_slice_that_is_worse_is_found_and_others_are_not() {
        let classified = classified();
        let all_right = (40..400).filter(|row| row % 10 != 0).collect();
        let parts = [(0..40).collect(), (40..200).collect(), all_right, (0..400).collect(), vec![7]];
        let slices = classified.slices(&parts, 3);
        let verdicts: Vec<Against> = slices.iter().map(|slice| slice.against_rest).collect();
        assert_eq!(verdicts, [Against::Worse, Against::Alike, Against::Better, Against::Alike, Against::Alike]);
        assert_eq!((slices[0].rows, slices[0].accuracy, slices[0].rest), (40, 0.5, Some(0.9)));
        let whole = &slices[3];
        assert_eq!((whole.rest, whole.p, whole.p_adjusted), (None, None, None));
        assert_eq!(
            (whole.accuracy, whole.f1_macro),
            (classified.confusion().accuracy(), classified.confusion().f1_macro())
        );
        assert_eq!(slices[4].f1_macro_interval, None);
        for slice in [&slices[0], &slices[1], whole] {
            let Interval { low, high } = slice.f1_macro_interval.unwrap();
            assert!(low < slice.f1_macro && slice.f1_macro < high, "{slice:?}");
        }
        assert_eq!(classified.slices(&parts, 3), slices);
        assert_ne!(classified.slices(&parts, 4)[1].f1_macro_interval, slices[1].f1_macro_interval);
        // Alone each p is smaller than with others.
        let alone = &classified.slices(&parts[..1], 3)[0];
        assert_eq!((alone.p, alone.p_adjusted), (slices[0].p, slices[0].p));
        // The slice that is all right has the smallest p of the four that have one, this the next.
        assert_eq!(slices[0].p_adjusted, slices[0].p.map(|p| p * 3.0));
    }

    #[test]
    fn ranges_have_about_as_many_rows_and_equal_numbers_stay_together() {
        let check = |numbers: &[f64], bins: usize, expected: &[(f64, f64, usize)]| {
            let found = quantiles(numbers, bins);
            let shown: Vec<_> = found.iter().map(|(least, most, rows)| (*least, *most, rows.len())).collect();
            assert_eq!(shown, expected, "{numbers:?} in {bins}");
            let mut rows: Vec<usize> = found.into_iter().flat_map(|(.., rows)| rows).collect();
            rows.sort_unstable();
            assert_eq!(rows, (0..numbers.len()).collect::<Vec<_>>());
        };
        check(&[5.0, 1.0, 3.0, 2.0, 4.0, 6.0], 3, &[(1.0, 2.0, 2), (3.0, 4.0, 2), (5.0, 6.0, 2)]);
        check(&[1.0, 1.0, 1.0, 1.0, 9.0], 5, &[(1.0, 1.0, 4), (9.0, 9.0, 1)]);
        check(&[2.0, 1.0], 5, &[(1.0, 1.0, 1), (2.0, 2.0, 1)]);
        check(&[7.0; 4], 2, &[(7.0, 7.0, 4)]);
        check(&[], 4, &[]);
    }
}
