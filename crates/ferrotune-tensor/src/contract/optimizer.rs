//! Steps of optimizers.

use super::{Bench, Case};
use crate::backend::AdamW;
use crate::{Backend, Role, Tensor};
use std::ops::Range;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "adamw over parts", run: adamw },
        Case { name: "adamw_idle", run: idle },
        Case { name: "sgd", run: sgd },
    ]
}

/// More than a chunk of any backend, and no multiple of four.
const LEN: usize = 70_003;

fn settings(step: i32, weight_decay: f64) -> AdamW {
    let (beta1, beta2) = (0.9, 0.999);
    AdamW {
        lr: 1e-2,
        beta1,
        beta2,
        eps: 1e-8,
        weight_decay,
        bias_correction1: 1.0 - f64::powi(beta1, step),
        bias_correction2: 1.0 - f64::powi(beta2, step),
    }
}

/// Parameters with moments; those of second order are not negative.
struct State<B: Backend> {
    p: Tensor<B>,
    m: Tensor<B>,
    v: Tensor<B>,
}

impl<B: Backend> State<B> {
    fn new(bench: &mut Bench<'_, B>, len: usize) -> State<B> {
        let p = bench.parameter([len], 1);
        let mut moment = |numbers: Vec<f32>| {
            let mut tensor = bench.of_role(Role::OptimizerState, [len].into(), 0);
            bench.backend.upload(tensor.data_mut(), &numbers);
            tensor
        };
        let m = moment(super::values(len, 2).iter().map(|x| 0.1 * x).collect());
        let v = moment(super::values(len, 3).iter().map(|x| 0.01 * x * x).collect());
        State { p, m, v }
    }

    fn note(&self, bench: &mut Bench<'_, B>, when: &str) {
        for (what, tensor) in [("p", &self.p), ("m", &self.m), ("v", &self.v)] {
            bench.note(format!("{when}: {what}"), tensor);
        }
    }
}

/// A scale that lies where the backend keeps such numbers.
fn scalar<B: Backend>(bench: &mut Bench<'_, B>, value: f32) -> B::Scalar {
    let mut tensor = bench.statistic([1]);
    bench.backend.upload(tensor.data_mut(), &[value]);
    bench.backend.scalar(tensor.data())
}

fn adamw<B: Backend>(bench: &mut Bench<'_, B>) {
    let mut state = State::new(bench, LEN);
    let g = bench.gradient([LEN], 1.0, 4);
    // Some parts begin off a multiple of four; one is empty, and some parameters are in none.
    let ranges: [Range<usize>; 5] = [0..66_000, 66_000..66_001, 66_001..66_001, 66_003..66_900, 67_000..LEN];
    for (step, scale) in [(1, 0.5), (2, f32::NAN), (3, 1.0), (4, f32::INFINITY)] {
        let decays = [0.1, 0.0, 0.3, 0.0, 0.1];
        let parts: Vec<_> = ranges.clone().into_iter().zip(decays.map(|decay| settings(step, decay))).collect();
        let scale_of_step = scalar(bench, scale);
        let State { p, m, v } = &mut state;
        bench.backend.adamw(p.data_mut(), m.data_mut(), v.data_mut(), g.data(), &parts, &scale_of_step);
        state.note(bench, &format!("step {step}, scale {scale}"));
    }
    let one = scalar(bench, 1.0);
    let State { p, m, v } = &mut state;
    bench.backend.adamw(p.data_mut(), m.data_mut(), v.data_mut(), g.data(), &[], &one);
    state.note(bench, "no parts");
}

fn idle<B: Backend>(bench: &mut Bench<'_, B>) {
    for (rows, width) in [(1, 1), (20, 7), (9, 384)] {
        let mut state = State::new(bench, rows * width);
        let late: Vec<(u32, u32)> = (0..rows as u32).filter(|row| row % 3 != 1).map(|row| (row, row % 6)).collect();
        let steps: Vec<_> = (1..=5).map(|step| settings(step, 0.1)).collect();
        // The first row has never had a gradient.
        let (m, _) = B::split_mut(state.m.data_mut(), width);
        bench.backend.fill(m, 0.0);
        let (v, _) = B::split_mut(state.v.data_mut(), width);
        bench.backend.fill(v, 0.0);
        let State { p, m, v } = &mut state;
        bench.backend.adamw_idle(p.data_mut(), m.data_mut(), v.data_mut(), width, &late, &steps);
        bench.backend.adamw_idle(p.data_mut(), m.data_mut(), v.data_mut(), width, &[], &steps);
        state.note(bench, &format!("{rows}·{width}"));
    }
}

fn sgd<B: Backend>(bench: &mut Bench<'_, B>) {
    for len in [1, 37, 3000] {
        let State { mut p, m: mut velocity, .. } = State::new(bench, len);
        let g = bench.gradient([len], 1.0, 4);
        for scale in [0.5, f32::NAN, 1.0] {
            let scale_of_step = scalar(bench, scale);
            let (p_place, velocity_place) = (p.data_mut(), velocity.data_mut());
            bench.backend.sgd(p_place, velocity_place, g.data(), 0.05, 0.9, 0.1, &scale_of_step);
            bench.note(format!("{len}, scale {scale}: p"), &p);
            bench.note(format!("{len}, scale {scale}: velocity"), &velocity);
        }
    }
}
