//! Order, and the ragged gather.

use crate::{Batch, Encoded, balanced, coins, resampled, shuffled};

fn check(rows: usize, seed: u64, epoch: u64, expected: &[usize]) {
    assert_eq!(shuffled(rows, seed, epoch), expected, "rows {rows}, seed {seed}, epoch {epoch}");
}

/// Golden orders from an implementation of the documented algorithm in Python, whose SplitMix64 was checked against
/// published outputs (seed 1234567 gives 6457827717110365317 first).
#[test]
fn golden_orders() {
    check(10, 0, 0, &[1, 4, 5, 0, 7, 6, 9, 8, 2, 3]);
    check(10, 0, 1, &[9, 4, 3, 0, 6, 8, 1, 7, 2, 5]);
    check(10, 1, 0, &[7, 2, 6, 8, 0, 1, 5, 9, 3, 4]);
    check(10, 42, 3, &[6, 9, 3, 4, 8, 7, 2, 0, 1, 5]);
    check(1, 9, 9, &[0]);
    check(0, 9, 9, &[]);
}

#[test]
fn an_order_is_a_fair_permutation() {
    let mut sums = [0usize; 8];
    for epoch in 0..4000 {
        let order = shuffled(8, 7, epoch);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..8).collect::<Vec<_>>());
        order.iter().zip(&mut sums).for_each(|(row, sum)| *sum += row);
    }
    // The mean of a place over 4000 uniform draws from 0..8 is 3.5 with standard deviation 2.29 / sqrt(4000) = 0.036;
    // five of those are 0.18, or 725 in the sum.
    assert!(sums.iter().all(|&sum| sum.abs_diff(14000) < 725), "{sums:?}");
}

#[test]
fn balanced_orders_have_equal_shares() {
    // 20, 3 and 0 rows, then 5: 28 rows in three classes that occur.
    let classes: Vec<u32> = [(0, 20), (1, 3), (3, 5)].into_iter().flat_map(|(class, n)| vec![class; n]).collect();
    let mut times = vec![0usize; 28];
    for epoch in 0..300 {
        let order = balanced(&classes, 7, epoch);
        assert_eq!(order, balanced(&classes, 7, epoch));
        assert_ne!(order, balanced(&classes, 8, epoch));
        let mut counts = [0usize; 28];
        order.iter().for_each(|&row| counts[row] += 1);
        counts.iter().zip(&mut times).for_each(|(count, times)| *times += count);
        for (class, rows) in [(0, 0..20), (1, 20..23), (3, 23..28)] {
            let of_class: usize = counts[rows.clone()].iter().sum();
            assert!(of_class == 9 || of_class == 10, "class {class}: {of_class}");
            let (least, most) = (counts[rows.clone()].iter().min(), counts[rows].iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "class {class}: a row comes again before the others came");
        }
    }
    // Over epochs every row of a class has its turn: a row of the first has 300·28/3/20 = 140 in the mean, with a deviation below 9.
    assert!(times[..20].iter().all(|&n| n.abs_diff(140) < 45), "{times:?}");
    assert!(balanced(&[], 1, 1).is_empty());
    // Equal classes: every row once.
    let mut all = balanced(&[0, 1, 0, 1], 1, 1);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
}

/// Rows that are drawn n times of n are left out with the probability (1 - 1/n)^n, near 1/e.
#[test]
fn resampling_draws_with_replacement_and_without_preference() {
    let (rows, samples) = (50, 400);
    let mut counts = vec![0; rows];
    let mut left_out = 0;
    for number in 0..samples {
        let sample: Vec<usize> = resampled(rows, 7, number).collect();
        assert_eq!(sample.len(), rows);
        assert_eq!(sample, resampled(rows, 7, number).collect::<Vec<_>>());
        assert_ne!(sample, resampled(rows, 8, number).collect::<Vec<_>>());
        assert_ne!(sample, resampled(rows, 7, number + 1).collect::<Vec<_>>());
        sample.iter().for_each(|&row| counts[row] += 1);
        left_out += (0..rows).filter(|row| !sample.contains(row)).count();
    }
    // Five deviations of a binomial count with mean 400.
    assert!(counts.iter().all(|&count: &i32| (count - 400).abs() < 100), "{counts:?}");
    let share = left_out as f64 / (rows as u64 * samples) as f64;
    assert!((share - 0.98_f64.powi(50)).abs() < 0.01, "{share}");
    assert_eq!(resampled(0, 7, 0).count(), 0);
    let tossed: Vec<bool> = coins(400, 7, 3).collect();
    let heads = tossed.iter().filter(|&&heads| heads).count();
    // Four deviations of 400 fair coins are 40.
    assert!(heads.abs_diff(200) <= 40 && tossed.len() == 400, "{heads} of {}", tossed.len());
    assert_eq!(tossed, coins(400, 7, 3).collect::<Vec<_>>());
    assert!(tossed != coins(400, 8, 3).collect::<Vec<_>>() && tossed != coins(400, 7, 4).collect::<Vec<_>>());
}

#[test]
fn gather_is_ragged() {
    let encoded = Encoded {
        ids: vec![10, 11, 20, 30, 31, 32],
        type_ids: vec![0, 1, 0, 0, 1, 1],
        offsets: vec![0, 2, 3, 6],
        truncated: vec![],
        longest_untruncated: 3,
        windows: Vec::new(),
        words: None,
    };
    assert_eq!((encoded.len(), encoded.tokens(), encoded.row(2)), (3, 6, (&[30, 31, 32][..], &[0, 1, 1][..])));
    let batch = Batch::gather(&encoded, &[2, 0]);
    assert_eq!(
        batch,
        Batch {
            ids: vec![30, 31, 32, 10, 11],
            type_ids: vec![0, 1, 1, 0, 1],
            positions: vec![0, 1, 2, 0, 1],
            offsets: vec![0, 3, 5],
            rows: vec![2, 0],
            scored: vec![],
        }
    );
    assert_eq!((batch.len(), batch.tokens()), (2, 5));
}
