//! Rows of the tables of distances, as transformers 5.24 and PyTorch 2.15 give them for distances from -700 to 700 (`relative_position_bucket` of
//! `MPNetEncoder`; `make_log_bucket_position` and the clamp of `DisentangledSelfAttention`). Neighbours with the same row are counted.

use super::*;

/// The rows in turn, and how many distances have each.
fn counted(rows: DistanceRows) -> Vec<(usize, usize)> {
    let mut counted: Vec<(usize, usize)> = Vec::new();
    for row in (-700..=700).map(|distance| rows.row(distance)) {
        match counted.last_mut() {
            Some((last, count)) if *last == row => *count += 1,
            _ => counted.push((row, 1)),
        }
    }
    counted
}

#[test]
fn halves_are_those_of_mpnet() {
    let (near, far) = ([15, 14, 13, 12, 11, 10, 9, 8], [610, 27, 18, 14, 9, 7, 4, 4]);
    let single = (0..8).rev().map(|row| (row, 1)).chain((17..24).map(|row| (row, 1)));
    let after = near.iter().zip(far).rev().map(|(row, count)| (row + 16, count));
    let wanted: Vec<_> = near.into_iter().zip(far).chain(single).chain(after).collect();
    let rows = DistanceRows::Halves { rows: 32, furthest: 128 };
    assert_eq!((counted(rows), rows.count()), (wanted, 32));
}

#[test]
fn logarithms_are_those_of_deberta() {
    for (span, furthest, before, after) in [
        (8, 20, &[689, 5, 2][..], &[2, 5, 8, 681][..]),
        (
            32,
            512,
            &[295, 84, 66, 53, 41, 34, 26, 21, 17, 13, 10, 9, 6, 5, 4][..],
            &[4, 5, 6, 9, 10, 13, 17, 21, 26, 34, 41, 53, 66, 84, 106, 189][..],
        ),
        (
            256,
            512,
            &[
                195, 6, 5, 5, 6, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 4, 5, 5, 4, 5, 4, 4, 5, 4, 4, 5, 4, 4, 4, 4, 4, 4, 4, 4,
                4, 3, 4, 4, 3, 4, 4, 3, 4, 3, 4, 3, 3, 4, 3, 3, 3, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 2, 3,
                3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 2, 2, 3, 2, 2, 2, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1,
                2, 2, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1,
            ][..],
            &[
                1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2,
                2, 2, 2, 2, 2, 2, 3, 2, 2, 2, 3, 2, 2, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 3, 2, 3, 3, 3, 2, 3, 3, 3,
                3, 3, 3, 3, 3, 3, 3, 4, 3, 3, 3, 4, 3, 3, 4, 3, 4, 3, 4, 4, 3, 4, 4, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5,
                4, 4, 5, 4, 4, 5, 4, 5, 5, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 5, 5, 6, 6, 189,
            ][..],
        ),
    ] {
        let rows = DistanceRows::Logarithmic { span, furthest };
        let single = 2 * (span / 2) + 1;
        let counts = before.iter().copied().chain(vec![1; single]).chain(after.iter().copied());
        let wanted: Vec<_> = (0..2 * span).rev().zip(counts).collect();
        assert_eq!((counted(rows), rows.count()), (wanted, 2 * span), "{span} of {furthest}");
    }
}
