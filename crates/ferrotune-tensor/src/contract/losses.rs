//! Losses over rows of logits or over numbers.

use super::{BETAS, Bench, Case, values};
use crate::{Backend, Tensor};

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "cross_entropy", run: cross_entropy },
        Case { name: "weighted_cross_entropy", run: weighted_cross_entropy },
        Case { name: "focal", run: focal },
        Case { name: "binary_cross_entropy, squared_error", run: elements },
        Case { name: "binary_focal, huber", run: elements_with_a_setting },
        Case { name: "losses of certain and of hopeless rows", run: extremes },
        Case { name: "losses of not-a-number", run: not_a_number },
    ]
}

/// Rows and classes: none, one, less than a warp, more, more than a block.
const SIZES: [[usize; 2]; 6] = [[0, 3], [1, 1], [32, 2], [9, 17], [19, 40], [2, 1100]];
/// Factor of the loss.
const K: f32 = 0.125;

fn labels(rows: usize, classes: usize) -> Vec<u32> {
    (0..rows).map(|row| (row * 7 % classes) as u32).collect()
}

fn weights(classes: usize) -> Vec<f32> {
    (0..classes).map(|class| 0.25 + (class % 5) as f32).collect()
}

/// Notes the gradient that `run` computes for each beta, and asks for none.
fn backward<B: Backend>(
    bench: &mut Bench<'_, B>,
    what: &str,
    x: &Tensor<B>,
    run: impl Fn(&B, Option<(B::Mut<'_>, f32)>, B::Ref<'_>),
) {
    let dloss = bench.input([1], 9);
    for beta in BETAS {
        let mut dx = bench.target(x.shape, beta, 8);
        run(bench.backend, Some((dx.data_mut(), beta)), dloss.data());
        bench.note(format!("{what}, backward, beta {beta}"), &dx);
    }
    run(bench.backend, None, dloss.data());
}

fn cross_entropy<B: Backend>(bench: &mut Bench<'_, B>) {
    for [rows, classes] in SIZES {
        let (x, labels) = (bench.input([rows, classes], 1), labels(rows, classes));
        let (mut loss, mut p) = (bench.statistic([1]), bench.statistic([rows, classes]));
        bench.backend.cross_entropy(loss.data_mut(), p.data_mut(), x.data(), &labels, classes, K);
        let what = format!("({rows}, {classes})");
        bench.note(what.clone(), &loss);
        bench.note(format!("probabilities {what}"), &p);
        backward(bench, &what, &x, |backend, dx, dloss| {
            backend.cross_entropy_backward(dx, dloss, p.data(), &labels, classes, K);
        });
    }
}

fn weighted_cross_entropy<B: Backend>(bench: &mut Bench<'_, B>) {
    for [rows, classes] in SIZES {
        let (x, labels, weights) = (bench.input([rows, classes], 1), labels(rows, classes), weights(classes));
        for smoothing in [0.0, 0.1, 1.0] {
            let mut loss = bench.statistic([1]);
            bench.backend.weighted_cross_entropy(loss.data_mut(), x.data(), &labels, &weights, smoothing, K);
            let what = format!("({rows}, {classes}), smoothing {smoothing}");
            bench.note(what.clone(), &loss);
            backward(bench, &what, &x, |backend, dx, dloss| {
                backend.weighted_cross_entropy_backward(dx, dloss, x.data(), &labels, &weights, smoothing, K);
            });
        }
    }
}

fn focal<B: Backend>(bench: &mut Bench<'_, B>) {
    for [rows, classes] in SIZES {
        let (x, labels, weights) = (bench.input([rows, classes], 1), labels(rows, classes), weights(classes));
        for gamma in [0.0, 0.5, 2.0] {
            let mut loss = bench.statistic([1]);
            bench.backend.focal(loss.data_mut(), x.data(), &labels, &weights, gamma, K);
            let what = format!("({rows}, {classes}), gamma {gamma}");
            bench.note(what.clone(), &loss);
            backward(bench, &what, &x, |backend, dx, dloss| {
                backend.focal_backward(dx, dloss, x.data(), &labels, &weights, gamma, K);
            });
        }
    }
}

fn elements<B: Backend>(bench: &mut Bench<'_, B>) {
    // The last is more than a device may take as one table.
    for len in [0, 1, 17, 1000, 300_001] {
        let x = bench.input([len], 1);
        let targets: Vec<f32> = values(len, 2).iter().map(|t| t * 0.25 + 0.5).collect();
        let mut loss = bench.statistic([1]);
        bench.backend.squared_error(loss.data_mut(), x.data(), &targets, K);
        bench.note(format!("squared_error {len}"), &loss);
        backward(bench, &format!("squared_error {len}"), &x, |backend, dx, dloss| {
            backend.squared_error_backward(dx, dloss, x.data(), &targets, K);
        });
        if len > 1000 {
            continue;
        }
        let mut loss = bench.statistic([1]);
        bench.backend.binary_cross_entropy(loss.data_mut(), x.data(), &targets, K);
        bench.note(format!("binary_cross_entropy {len}"), &loss);
        backward(bench, &format!("binary_cross_entropy {len}"), &x, |backend, dx, dloss| {
            backend.binary_cross_entropy_backward(dx, dloss, x.data(), &targets, K);
        });
    }
}

fn elements_with_a_setting<B: Backend>(bench: &mut Bench<'_, B>) {
    for len in [0, 1, 17, 1000] {
        let x = bench.input([len], 1);
        let targets: Vec<f32> = (0..len).map(|i| (i % 3 / 2) as f32).collect();
        for gamma in [0.0, 0.5, 2.0] {
            let (mut loss, what) = (bench.statistic([1]), format!("binary_focal {len}, gamma {gamma}"));
            bench.backend.binary_focal(loss.data_mut(), x.data(), &targets, gamma, K);
            bench.note(what.clone(), &loss);
            backward(bench, &what, &x, |backend, dx, dloss| {
                backend.binary_focal_backward(dx, dloss, x.data(), &targets, gamma, K);
            });
        }
        for delta in [0.3, 1.0, 10.0] {
            let (mut loss, what) = (bench.statistic([1]), format!("huber {len}, delta {delta}"));
            bench.backend.huber(loss.data_mut(), x.data(), &targets, delta, K);
            bench.note(what.clone(), &loss);
            backward(bench, &what, &x, |backend, dx, dloss| {
                backend.huber_backward(dx, dloss, x.data(), &targets, delta, K);
            });
        }
    }
}

/// Two classes, or a binary logit, that the model is sure of.
fn extremes<B: Backend>(bench: &mut Bench<'_, B>) {
    let (mut rows, mut x) = (bench.input([1, 2], 1), bench.input([1], 1));
    bench.backend.upload(rows.data_mut(), &[1e4, -1e4]);
    bench.backend.upload(x.data_mut(), &[1e4]);
    for label in [0, 1] {
        let (labels, targets, weights) = ([label], [1.0 - label as f32], [1.0; 2]);
        let (mut loss, mut p) = (bench.statistic([1]), bench.statistic([1, 2]));
        bench.backend.cross_entropy(loss.data_mut(), p.data_mut(), rows.data(), &labels, 2, 1.0);
        bench.note(format!("cross_entropy {label}"), &loss);
        bench.backend.weighted_cross_entropy(loss.data_mut(), rows.data(), &labels, &weights, 0.0, 1.0);
        bench.note(format!("weighted_cross_entropy {label}"), &loss);
        bench.backend.binary_cross_entropy(loss.data_mut(), x.data(), &targets, 1.0);
        bench.note(format!("binary_cross_entropy {label}"), &loss);
        for gamma in [0.0, 0.5, 1.0, 2.0] {
            let what = format!("{label}, gamma {gamma}");
            bench.backend.focal(loss.data_mut(), rows.data(), &labels, &weights, gamma, 1.0);
            bench.note(format!("focal {what}"), &loss);
            backward(bench, &format!("focal {what}"), &rows, |backend, dx, dloss| {
                backend.focal_backward(dx, dloss, rows.data(), &labels, &weights, gamma, 1.0);
            });
            bench.backend.binary_focal(loss.data_mut(), x.data(), &targets, gamma, 1.0);
            bench.note(format!("binary_focal {what}"), &loss);
            backward(bench, &format!("binary_focal {what}"), &x, |backend, dx, dloss| {
                backend.binary_focal_backward(dx, dloss, x.data(), &targets, gamma, 1.0);
            });
        }
    }
}

fn not_a_number<B: Backend>(bench: &mut Bench<'_, B>) {
    for logits in [[f32::NAN, 0.0], [0.0, f32::NAN]] {
        let (mut rows, labels, weights, targets) = (bench.input([1, 2], 1), [0], [1.0; 2], [0.0; 2]);
        bench.backend.upload(rows.data_mut(), &logits);
        let (mut loss, mut p) = (bench.statistic([1]), bench.statistic([1, 2]));
        let shows = |name: &str, loss: &mut Tensor<B>| {
            assert!(bench.backend.download(loss.data())[0].is_nan(), "{name} of {logits:?} is a number");
            bench.backend.fill(loss.data_mut(), 0.0);
        };
        bench.backend.cross_entropy(loss.data_mut(), p.data_mut(), rows.data(), &labels, 2, 1.0);
        shows("cross_entropy", &mut loss);
        bench.backend.weighted_cross_entropy(loss.data_mut(), rows.data(), &labels, &weights, 0.0, 1.0);
        shows("weighted_cross_entropy", &mut loss);
        bench.backend.focal(loss.data_mut(), rows.data(), &labels, &weights, 2.0, 1.0);
        shows("focal", &mut loss);
        bench.backend.binary_cross_entropy(loss.data_mut(), rows.data(), &targets, 1.0);
        shows("binary_cross_entropy", &mut loss);
        bench.backend.binary_focal(loss.data_mut(), rows.data(), &targets, 2.0, 1.0);
        shows("binary_focal", &mut loss);
        bench.backend.squared_error(loss.data_mut(), rows.data(), &targets, 1.0);
        shows("squared_error", &mut loss);
        bench.backend.huber(loss.data_mut(), rows.data(), &targets, 1.0, 1.0);
        shows("huber", &mut loss);
    }
}
