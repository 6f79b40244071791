//! Softmax of rows.

use super::{BETAS, Bench, Case};
use crate::Backend;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![Case { name: "softmax", run: rows }, Case { name: "softmax of large and of infinite numbers", run: extremes }]
}

/// Rows and columns: none, one, less than a warp, more, more than a block.
const SIZES: [[usize; 2]; 7] = [[0, 5], [1, 1], [7, 3], [9, 33], [21, 100], [3, 513], [2, 1100]];

fn rows<B: Backend>(bench: &mut Bench<'_, B>) {
    for [rows, cols] in SIZES {
        let (x, dy) = (bench.input([rows, cols], 1), bench.input([rows, cols], 2));
        let mut y = bench.output([rows, cols]);
        bench.backend.softmax(y.data_mut(), x.data(), cols);
        bench.note(format!("({rows}, {cols})"), &y);
        for beta in BETAS {
            let mut dx = bench.target([rows, cols], beta, 3);
            bench.backend.softmax_backward(Some((dx.data_mut(), beta)), dy.data(), y.data(), cols);
            bench.note(format!("backward ({rows}, {cols}), beta {beta}"), &dx);
        }
        bench.backend.softmax_backward(None, dy.data(), y.data(), cols);
    }
}

fn extremes<B: Backend>(bench: &mut Bench<'_, B>) {
    for cols in [40, 600] {
        let mut x = bench.input([1, cols], 1);
        let mut numbers = vec![-1e30; cols];
        (numbers[0], numbers[1], numbers[cols - 1]) = (f32::NEG_INFINITY, 1e30, 1e30);
        bench.backend.upload(x.data_mut(), &numbers);
        let mut y = bench.output([1, cols]);
        bench.backend.softmax(y.data_mut(), x.data(), cols);
        bench.note(format!("large, {cols}"), &y);
        numbers[cols / 2] = f32::NAN;
        bench.backend.upload(x.data_mut(), &numbers);
        bench.backend.softmax(y.data_mut(), x.data(), cols);
        let all_show = bench.backend.download(y.data()).iter().all(|y| y.is_nan());
        assert!(all_show, "a row of {cols} with a not-a-number has numbers");
    }
}
