//! Sums, products and fills.

use super::{BETAS, Bench, Case};
use crate::Backend;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "fill, axpy, add, mul", run: forward },
        Case { name: "mul_backward, scale_into, sum_backward", run: backward },
        Case { name: "penalty_add, anchor_add", run: penalties },
    ]
}

/// More than a block, and no multiple of one.
const LEN: usize = 1000;

fn forward<B: Backend>(bench: &mut Bench<'_, B>) {
    let (a, b) = (bench.input([LEN], 1), bench.input([LEN], 2));
    let mut y = bench.output([LEN]);
    bench.backend.fill(y.data_mut(), 0.25);
    bench.note("fill", &y);
    bench.backend.axpy(y.data_mut(), -1.5, a.data());
    bench.note("axpy", &y);
    let mut y = bench.output([LEN]);
    bench.backend.add(y.data_mut(), a.data(), b.data());
    bench.note("add", &y);
    let mut y = bench.output([LEN]);
    bench.backend.mul(y.data_mut(), a.data(), b.data());
    bench.note("mul", &y);
}

fn backward<B: Backend>(bench: &mut Bench<'_, B>) {
    let (dy, other) = (bench.input([LEN], 1), bench.input([LEN], 2));
    for beta in BETAS {
        let mut dx = bench.target([LEN], beta, 3);
        bench.backend.mul_backward(Some((dx.data_mut(), beta)), dy.data(), other.data());
        bench.note(format!("mul, beta {beta}"), &dx);
        let mut dx = bench.target([LEN], beta, 4);
        bench.backend.scale_into(Some((dx.data_mut(), beta)), 0.3, dy.data());
        bench.note(format!("scale_into, beta {beta}"), &dx);
        let mut dx = bench.target([LEN], beta, 5);
        bench.backend.sum_backward(Some((dx.data_mut(), beta)), 0.3, dy.data());
        bench.note(format!("sum, beta {beta}"), &dx);
    }
    bench.backend.mul_backward(None, dy.data(), other.data());
    bench.backend.scale_into(None, 0.3, dy.data());
    bench.backend.sum_backward(None, 0.3, dy.data());
}

fn penalties<B: Backend>(bench: &mut Bench<'_, B>) {
    let (p, start) = (bench.parameter([LEN], 1), bench.parameter([LEN], 2));
    let mut g = bench.gradient([LEN], 1.0, 3);
    bench.backend.penalty_add(g.data_mut(), p.data(), 0.1, 0.2);
    bench.note("penalty_add", &g);
    bench.backend.anchor_add(g.data_mut(), p.data(), start.data(), 0.3);
    bench.note("anchor_add", &g);
}
