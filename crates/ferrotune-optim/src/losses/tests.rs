//! Losses against PyTorch (value and gradient) and against their formulas in f64 (gradcheck).

use super::*;
use ferrotune_tensor::init::Init;
use ferrotune_tensor::prelude::*;
use ndarray::{ArrayD, Axis, arr0, arr1, arr2};
use serde_json::Value;

fn numbers(case: &Value, key: &str) -> Vec<f32> {
    case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// Value and gradient of a loss at these logits.
fn run(op: impl Op<Cpu> + 'static, shape: &[usize], logits: &[f32]) -> (f32, Vec<f32>) {
    let mut layout = Layout::new();
    let id = layout.root().param("logits", shape, Init::Zeros);
    let mut params = Params::init(&Cpu, layout, 0);
    params.set(&Cpu, id, logits);
    let (mut grads, mut pool) = (Grads::new(&Cpu, &params), Pool::new(Cpu));
    let mut tape = Tape::new(&Cpu, &params, &mut pool);
    let x = tape.param(id);
    let loss = tape.apply(op, &[x]);
    let value = tape.download(loss)[0];
    tape.backward(loss, 1.0, &mut grads);
    (value, grads.get(id).data.to_vec())
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("../../../../tests/golden/tasks.json")).unwrap();
    for case in golden["losses"].as_array().unwrap() {
        let name = case["loss"].as_str().unwrap();
        let shape: Vec<usize> =
            case["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let number = |key: &str| case[key].as_f64().unwrap() as f32;
        let labels = || numbers(case, "labels").iter().map(|&label| label as u32).collect::<Vec<_>>();
        let (logits, scale) = (numbers(case, "logits"), number("scale"));
        let (value, gradient) = match name {
            "weighted_cross_entropy" => {
                let (weights, smoothing) = (numbers(case, "weights"), number("smoothing"));
                run(WeightedCrossEntropy { labels: labels(), weights, smoothing, scale }, &shape, &logits)
            }
            "focal" => {
                let (weights, gamma) = (numbers(case, "weights"), number("gamma"));
                run(Focal { labels: labels(), weights, gamma, scale }, &shape, &logits)
            }
            "binary_focal" => {
                let (targets, gamma) = (numbers(case, "targets"), number("gamma"));
                run(BinaryFocal { targets, gamma, scale }, &shape, &logits)
            }
            "binary_cross_entropy" => {
                run(BinaryCrossEntropy { targets: numbers(case, "targets"), scale }, &shape, &logits)
            }
            "squared_error" => run(SquaredError { targets: numbers(case, "targets"), scale }, &shape, &logits),
            "huber" => {
                let (targets, delta) = (numbers(case, "targets"), number("delta"));
                run(Huber { targets, delta, scale }, &shape, &logits)
            }
            other => panic!("{other}"),
        };
        // The scale is rounded to f32, and the result once more; inputs are exact.
        let near = |what: &str, got: f32, want: f64| {
            let error = (f64::from(got) - want).abs();
            assert!(
                error <= 2.0 * f64::from(f32::EPSILON) * want.abs().max(0.01),
                "{name} {what}: {got}, expected {want}"
            );
        };
        near("value", value, case["value"].as_f64().unwrap());
        let wanted = case["gradient"].as_array().unwrap();
        assert_eq!(gradient.len(), wanted.len(), "{name}");
        gradient.iter().zip(wanted).for_each(|(&got, want)| near("gradient", got, want.as_f64().unwrap()));
    }
}

#[test]
fn gradients_are_the_slopes_of_the_formulas() {
    let logits = arr2(&[[0.3f32, -1.2, 2.0], [4.0, 0.1, -0.5], [-2.0, -2.5, -1.0], [0.0, 0.0, 0.0]]).into_dyn();
    let (labels, weights) = ([2u32, 1, 0, 1], [0.5f32, 2.0, 1.0]);
    let rows = |x: &ArrayD<f64>, row: &dyn Fn(&[f64], usize) -> f64| {
        let one = |(z, &label): (ndarray::ArrayViewD<'_, f64>, &u32)| {
            let normal = z.iter().map(|z| z.exp()).sum::<f64>().ln();
            row(&z.iter().map(|z| z - normal).collect::<Vec<_>>(), label as usize)
        };
        arr0(0.25 * x.axis_iter(Axis(0)).zip(&labels).map(one).sum::<f64>()).into_dyn()
    };
    let w = weights.map(f64::from);
    let (labels_, weights_) = (labels.to_vec(), weights.to_vec());
    gradcheck(
        || WeightedCrossEntropy { labels: labels_.clone(), weights: weights_.clone(), smoothing: 0.25, scale: 0.25 },
        std::slice::from_ref(&logits),
        |x| {
            rows(&x[0], &|log_p, y| {
                0.75 * -w[y] * log_p[y] + 0.25 / 3.0 * log_p.iter().zip(&w).map(|(l, w)| -w * l).sum::<f64>()
            })
        },
    )
    .unwrap();
    gradcheck(
        || Focal { labels: labels_.clone(), weights: weights_.clone(), gamma: 2.0, scale: 0.25 },
        std::slice::from_ref(&logits),
        |x| rows(&x[0], &|log_p, y| -w[y] * (1.0 - log_p[y].exp()).powi(2) * log_p[y]),
    )
    .unwrap();
    let x = arr1(&[0.3f32, -1.2, 2.0, 0.1, -0.5]).into_dyn();
    let sum = |x: &ArrayD<f64>, targets: &[f32], one: &dyn Fn(f64, f64) -> f64| {
        arr0(0.2 * x.iter().zip(targets).map(|(&x, &t)| one(x, f64::from(t))).sum::<f64>()).into_dyn()
    };
    let hard = [1.0f32, 0.0, 0.0, 1.0, 1.0];
    gradcheck(
        || BinaryFocal { targets: hard.to_vec(), gamma: 2.0, scale: 0.2 },
        std::slice::from_ref(&x),
        |x| {
            sum(&x[0], &hard, &|x, t| {
                let sigma = 1.0 / (1.0 + (-x).exp());
                let p = if t == 1.0 { sigma } else { 1.0 - sigma };
                -(1.0 - p).powi(2) * p.ln()
            })
        },
    )
    .unwrap();
    let targets = [0.5f32, 2.0, 2.5, -1.0, -0.4];
    gradcheck(
        || SquaredError { targets: targets.to_vec(), scale: 0.2 },
        std::slice::from_ref(&x),
        |x| sum(&x[0], &targets, &|x, t| (x - t).powi(2)),
    )
    .unwrap();
    gradcheck(
        || Huber { targets: targets.to_vec(), delta: 0.75, scale: 0.2 },
        &[x],
        |x| {
            sum(&x[0], &targets, &|x, t| {
                let r = (x - t).abs();
                if r <= 0.75 { 0.5 * r * r } else { 0.75 * (r - 0.375) }
            })
        },
    )
    .unwrap();
}
