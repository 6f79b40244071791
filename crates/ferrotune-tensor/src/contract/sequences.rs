//! What depends on where a row stands in its sequence: turns by position, and means of sequences.

use super::{BETAS, Bench, Case};
use crate::Backend;
use crate::backend::Rotary;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "rotary, rotary_backward", run: rotary },
        Case { name: "sequence_means, sequence_means_backward", run: sequence_means },
    ]
}

fn rotary<B: Backend>(bench: &mut Bench<'_, B>) {
    // Rows, pairs of a head, heads that are turned, and width: columns behind them, no multiple of four or of a warp, nothing to turn, nothing.
    for [rows, pairs, heads, width] in [[1, 1, 1, 2], [9, 3, 2, 19], [70, 16, 4, 192], [5, 4, 0, 7], [0, 2, 1, 4]] {
        // Up to some thousand radians, where a turn that is computed carelessly is another one.
        let positions: Vec<u32> = (0..rows as u32).map(|row| row * 691 % 8191).collect();
        let frequencies: Vec<f32> = (0..pairs).map(|pair| 0.7f32.powi(pair as i32)).collect();
        let rotary = Rotary { positions: &positions, frequencies: &frequencies, heads, width };
        let what = format!("{rows}·{width}, {heads} heads of {pairs} pairs");
        let (x, dy) = (bench.input([rows, width], 1), bench.input([rows, width], 2));
        let mut y = bench.output([rows, width]);
        bench.backend.rotary(&mut bench.pool, y.data_mut(), x.data(), rotary);
        bench.note(&what, &y);
        for beta in BETAS {
            let mut dx = bench.target([rows, width], beta, 3);
            bench.backend.rotary_backward(&mut bench.pool, Some((dx.data_mut(), beta)), dy.data(), rotary);
            bench.note(format!("{what}, dx, beta {beta}"), &dx);
        }
        bench.backend.rotary_backward(&mut bench.pool, None, dy.data(), rotary);
    }
}

fn sequence_means<B: Backend>(bench: &mut Bench<'_, B>) {
    let offsets: [&[u32]; 5] = [&[0, 1], &[0, 3, 3, 4, 20], &[0, 0, 5, 5], &[0, 300, 333], &[0]];
    for (offsets, width) in offsets.into_iter().zip([1, 7, 33, 384, 5]) {
        let (rows, sequences) = (offsets[offsets.len() - 1] as usize, offsets.len() - 1);
        let (x, dy) = (bench.input([rows, width], 1), bench.input([sequences, width], 2));
        let mut y = bench.output([sequences, width]);
        bench.backend.sequence_means(y.data_mut(), x.data(), offsets, width);
        bench.note(format!("{offsets:?}·{width}"), &y);
        for beta in BETAS {
            let mut dx = bench.target([rows, width], beta, 3);
            bench.backend.sequence_means_backward(Some((dx.data_mut(), beta)), dy.data(), offsets, width);
            bench.note(format!("{offsets:?}·{width}, dx, beta {beta}"), &dx);
        }
        bench.backend.sequence_means_backward(None, dy.data(), offsets, width);
    }
}
