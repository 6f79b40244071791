//! Sums to one number, and numbers that may still be under way.

use super::{Bench, Case};
use crate::Backend;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "sum", run: sum },
        Case { name: "norm", run: norm },
        Case { name: "scalar, total", run: scalars },
        Case { name: "clip_factor", run: clip_factor },
        Case { name: "penalty, anchor", run: penalties },
    ]
}

/// One element, less than a block, more than one.
const SIZES: [usize; 4] = [0, 1, 17, 20_001];

fn sum<B: Backend>(bench: &mut Bench<'_, B>) {
    for len in SIZES {
        // Squares, so that the sum is no small difference of large numbers.
        let (x, mut squares) = (bench.input([len], 1), bench.output([len]));
        bench.backend.mul(squares.data_mut(), x.data(), x.data());
        for start in [0, 1] {
            let mut y = bench.statistic([1]);
            bench.backend.sum(y.data_mut(), 0.3, B::slice(&squares.buf, start.min(len)..len));
            bench.note(format!("{len} from {start}"), &y);
        }
    }
}

fn norm<B: Backend>(bench: &mut Bench<'_, B>) {
    let parts: Vec<_> =
        [17, 70_001, 0, 1, 1000].iter().zip(1..).map(|(&len, i)| bench.gradient([len], 1.0, i)).collect();
    let activation = bench.input([333], 9);
    let mut whole: Vec<_> = parts.iter().map(|part| part.data()).collect();
    whole.extend([B::slice(&parts[1].buf, 3..50_000), activation.data()]);
    for count in 0..=whole.len() {
        let norm = bench.backend.norm(&whole[..count]);
        bench.note_scalar(format!("{count} parts"), &norm);
    }
}

fn scalars<B: Backend>(bench: &mut Bench<'_, B>) {
    let x = bench.input([5], 1);
    let numbers: Vec<_> = (0..5).map(|i| bench.backend.scalar(B::slice(&x.buf, i..5))).collect();
    for count in 0..=numbers.len() {
        let total = bench.backend.total(&numbers[..count]);
        bench.note_scalar(format!("{count} numbers"), &total);
    }
    bench.note_scalar("the first", &numbers[0]);
}

fn clip_factor<B: Backend>(bench: &mut Bench<'_, B>) {
    let g = bench.gradient([100], 1.0, 1);
    let norm = bench.backend.norm(&[g.data()]);
    for most in [None, Some(0.5), Some(9.0), Some(1e9)] {
        let factor = bench.backend.clip_factor(&norm, most);
        bench.note_scalar(format!("{most:?}"), &factor);
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut g = bench.gradient([100], 1.0, 1);
        bench.backend.fill(g.data_mut(), bad);
        let norm = bench.backend.norm(&[g.data()]);
        for most in [None, Some(0.5)] {
            let factor = bench.backend.read(&bench.backend.clip_factor(&norm, most));
            assert!(factor.is_nan(), "a gradient of {bad}, at most {most:?}: {factor}");
        }
    }
}

fn penalties<B: Backend>(bench: &mut Bench<'_, B>) {
    for len in SIZES {
        let (p, start) = (bench.parameter([len], 1), bench.parameter([len], 2));
        for from in [0, 1] {
            let part = from.min(len)..len;
            let (p, start) = (B::slice(&p.buf, part.clone()), B::slice(&start.buf, part));
            for [l1, l2] in [[0.1, 0.2], [0.0, 0.3], [0.4, 0.0]] {
                let penalty = bench.backend.penalty(p, l1, l2);
                bench.note_scalar(format!("penalty {l1} {l2} of {len} from {from}"), &penalty);
            }
            let anchor = bench.backend.anchor(p, start, 0.3);
            bench.note_scalar(format!("anchor of {len} from {from}"), &anchor);
        }
    }
}
