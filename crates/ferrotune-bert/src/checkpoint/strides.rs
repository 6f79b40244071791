//! Tensors that are views of others: how far strides reach, whether they are those of a row-major tensor, and the values
//! gathered row-major. It must not know files or formats.

/// Whether `strides` (elements from one index to the next, in each dimension) are those of a row-major tensor of this shape.
/// The stride of a dimension of 1 is never used, and may be anything.
pub(crate) fn is_row_major(shape: &[u64], strides: &[u64]) -> bool {
    let mut expected: u64 = 1;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size != 1 && stride != expected {
            return false;
        }
        expected = expected.saturating_mul(size);
    }
    true
}

/// Elements from the first to the last of a tensor without an empty dimension, both counted; `None` if no number holds it.
pub(crate) fn reach(shape: &[u64], strides: &[u64]) -> Option<u64> {
    shape.iter().zip(strides).try_fold(1u64, |reach, (&size, &stride)| {
        let steps = size.checked_sub(1)?.checked_mul(stride)?;
        reach.checked_add(steps)
    })
}

/// Appends the values of a view row-major to `gathered`. `stored` begins with its first element and holds its last, and no
/// dimension is empty.
pub(crate) fn gather(stored: &[f32], shape: &[usize], strides: &[usize], gathered: &mut Vec<f32>) {
    let (Some((&row, outer)), Some((&step, outer_strides))) = (shape.split_last(), strides.split_last()) else {
        gathered.push(stored[0]);
        return;
    };
    // The index of a row, counted up like the digits of a number, and where the row begins.
    let mut index = vec![0; outer.len()];
    let mut at = 0;
    loop {
        gathered.extend((0..row).map(|column| stored[at + column * step]));
        let mut dimension = outer.len();
        loop {
            if dimension == 0 {
                return;
            }
            dimension -= 1;
            index[dimension] += 1;
            at += outer_strides[dimension];
            if index[dimension] < outer[dimension] {
                break;
            }
            at -= outer_strides[dimension] * outer[dimension];
            index[dimension] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_by_hand() {
        let stored: Vec<f32> = (0..12).map(|value| value as f32).collect();
        for (shape, strides, expected) in [
            (&[][..], &[][..], &[0.0][..]),
            (&[3], &[4], &[0.0, 4.0, 8.0]),
            (&[4, 3], &[1, 4], &[0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0]),
            (&[2, 2, 2], &[1, 6, 3], &[0.0, 3.0, 6.0, 9.0, 1.0, 4.0, 7.0, 10.0]),
            (&[2, 1, 2], &[0, 9, 1], &[0.0, 1.0, 0.0, 1.0]),
        ] {
            let mut gathered = Vec::new();
            gather(&stored, shape, strides, &mut gathered);
            assert_eq!(gathered, expected, "{shape:?} {strides:?}");
        }
    }

    #[test]
    fn which_strides_are_row_major_and_how_far_they_reach() {
        for (shape, strides, row_major, reaches) in [
            (&[][..], &[][..], true, Some(1)),
            (&[3, 4], &[4, 1], true, Some(12)),
            (&[1, 4], &[99, 1], true, Some(4)),
            (&[4, 3], &[1, 4], false, Some(12)),
            (&[3, 2], &[4, 1], false, Some(10)),
            (&[3, 2], &[0, 1], false, Some(2)),
            (&[2], &[u64::MAX], false, None),
            (&[3], &[u64::MAX], false, None),
            (&[u64::MAX, u64::MAX], &[u64::MAX, 1], true, None),
        ] {
            assert_eq!(is_row_major(shape, strides), row_major, "{shape:?} {strides:?}");
            assert_eq!(reach(shape, strides), reaches, "{shape:?} {strides:?}");
        }
    }
}
