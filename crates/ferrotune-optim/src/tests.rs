//! Gradcheck of the losses; optimizers against formulas in f64; clipping and penalties.

use crate::losses::{BinaryCrossEntropy, CrossEntropy};
use crate::optimizer::Optimizer;
use crate::{AdamW, Groups, Penalty, Sgd, adamw, clip};
use ferrotune_tensor::init::Init;
use ferrotune_tensor::ops::{Embeddings, Mul, Sum};
use ferrotune_tensor::prelude::*;
use ndarray::{Axis, arr0, arr2};

#[test]
fn losses() {
    let logits = arr2(&[[0.3f32, -1.2, 2.0], [4.0, 0.1, -0.5], [-2.0, -2.5, -1.0], [0.0, 0.0, 0.0]]).into_dyn();
    let labels = [2u32, 1, 0, 1];
    gradcheck(
        || CrossEntropy::new(labels.to_vec(), 0.25),
        std::slice::from_ref(&logits),
        |x| {
            let row = |(z, &label): (ndarray::ArrayViewD<'_, f64>, &u32)| {
                z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[[label as usize]]
            };
            arr0(0.25 * x[0].axis_iter(Axis(0)).zip(&labels).map(row).sum::<f64>()).into_dyn()
        },
    )
    .unwrap();
    let targets = vec![1.0, 0.0, 0.3, 0.0, 1.0, 0.5, 1.0, 0.0, 0.0, 1.0, 0.9, 0.0];
    let loss = || BinaryCrossEntropy { targets: targets.clone(), scale: 1.0 / 12.0 };
    gradcheck(loss, &[logits], |x| {
        let one = |(z, &t): (&f64, &f32)| {
            let s = 1.0 / (1.0 + (-z).exp());
            -(f64::from(t) * s.ln() + (1.0 - f64::from(t)) * (1.0 - s).ln())
        };
        arr0(x[0].iter().zip(&targets).map(one).sum::<f64>() / 12.0).into_dyn()
    })
    .unwrap();
}

/// A model of one weight matrix and one bias, with the gradients w and b (of ½Σw² + ½Σb²).
struct Bowl {
    params: Params<Cpu>,
    grads: Grads<Cpu>,
    pool: Pool<Cpu>,
}

impl Bowl {
    fn new() -> Bowl {
        let mut layout = Layout::new();
        layout.root().param("weight", [3, 7], Init::Normal(1.0));
        layout.root().param("bias", [5], Init::Normal(1.0));
        let params = Params::init(&Cpu, layout, 3);
        Bowl { grads: Grads::new(&Cpu, &params), params, pool: Pool::new(Cpu) }
    }

    fn backward(&mut self) {
        self.grads.clear();
        for id in self.params.trainable_ids().collect::<Vec<_>>() {
            let mut tape = Tape::new(&Cpu, &self.params, &mut self.pool);
            let p = tape.param(id);
            let square = tape.apply(Mul, &[p, p]);
            let loss = tape.apply(Sum { scale: 0.5 }, &[square]);
            tape.backward(loss, 1.0, &mut self.grads);
        }
    }

    fn values(&self) -> Vec<f64> {
        self.params.layout().ids().flat_map(|id| self.params.get(id).data.to_vec()).map(f64::from).collect()
    }
}

fn assert_close(got: &[f64], expected: &[f64], steps: usize) {
    // Each step rounds to f32 a handful of times: a few ε of the largest value for each step.
    let tolerance = 8.0 * f64::from(f32::EPSILON) * steps as f64;
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() <= tolerance * e.abs().max(1.0), "{g} {e}");
    }
}

#[test]
fn adamw_follows_the_formula_in_f64() {
    let mut bowl = Bowl::new();
    let groups = Groups::standard(&bowl.params, 0.1);
    let mut optimizer = AdamW::new(&Cpu, &bowl.params, groups, adamw::BETAS, adamw::EPS);
    let mut p = bowl.values();
    let (mut m, mut v) = (vec![0.0; p.len()], vec![0.0; p.len()]);
    for t in 1..=20 {
        let (lr, scale) = (0.05 / f64::from(t), 0.5);
        bowl.backward();
        optimizer.step(&Cpu, &mut bowl.params, &bowl.grads, lr, &scale);
        for i in 0..p.len() {
            let g = p[i] * scale;
            let decay = if i < 21 { 0.1 } else { 0.0 };
            p[i] -= lr * decay * p[i];
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let (m, v) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
            p[i] -= lr * m / (v.sqrt() + 1e-8);
        }
    }
    assert_close(&bowl.values(), &p, 20);
}

#[test]
fn sgd_follows_the_formula_in_f64() {
    let mut bowl = Bowl::new();
    let mut optimizer = Sgd::new(&Cpu, &bowl.params, Groups::standard(&bowl.params, 0.1), 0.9);
    let mut p = bowl.values();
    let mut velocity = vec![0.0; p.len()];
    for _ in 0..20 {
        bowl.backward();
        optimizer.step(&Cpu, &mut bowl.params, &bowl.grads, 0.05, &1.0);
        for i in 0..p.len() {
            let decay = if i < 21 { 0.1 } else { 0.0 };
            velocity[i] = 0.9 * velocity[i] + (p[i] + decay * p[i]);
            p[i] -= 0.05 * velocity[i];
        }
    }
    assert_close(&bowl.values(), &p, 20);
}

#[test]
fn a_restored_optimizer_takes_the_same_steps() {
    for restore_into_frozen in [false, true] {
        let mut bowl = Bowl::new();
        let groups = Groups::standard(&bowl.params, 0.0);
        let mut first = AdamW::new(&Cpu, &bowl.params, groups.clone(), adamw::BETAS, adamw::EPS);
        bowl.backward();
        first.step(&Cpu, &mut bowl.params, &bowl.grads, 0.1, &1.0);
        let state = first.state(&Cpu, &bowl.params);
        let mut second = AdamW::new(&Cpu, &bowl.params, groups, adamw::BETAS, adamw::EPS);
        if restore_into_frozen {
            let weight = bowl.params.layout().find("weight").unwrap();
            bowl.params.set_trainable(weight, false);
            let error = second.restore(&Cpu, &bowl.params, &state).unwrap_err();
            assert_eq!(error, "expected the moment `adamw.m` of 5 values, got `adamw.m` of 26");
            continue;
        }
        second.restore(&Cpu, &bowl.params, &state).unwrap();
        bowl.backward();
        let before = bowl.values();
        first.step(&Cpu, &mut bowl.params, &bowl.grads, 0.1, &1.0);
        let after_first = bowl.values();
        for id in bowl.params.layout().ids().collect::<Vec<_>>() {
            let at = if id.index() == 0 { 0..21 } else { 21..26 };
            let values: Vec<f32> = before[at].iter().map(|&v| v as f32).collect();
            bowl.params.set(&Cpu, id, &values);
        }
        second.step(&Cpu, &mut bowl.params, &bowl.grads, 0.1, &1.0);
        assert_eq!(after_first, bowl.values());
    }
}

#[test]
fn clipping_brings_the_norm_to_the_limit_and_never_raises_it() {
    let mut bowl = Bowl::new();
    bowl.backward();
    let norm = clip::global_norm(&Cpu, &bowl.grads);
    let exact = bowl.values().iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!((norm - exact).abs() < 1e-6 * exact, "{norm} {exact}");
    let factor = |norm, most| clip::clip_factor(&Cpu, &norm, most);
    assert!((norm * factor(norm, 1.0) - 1.0).abs() < 1e-5);
    assert_eq!((factor(0.5, 1.0), factor(norm, 0.0)), (1.0, 1.0));
    assert!([f64::NAN, f64::INFINITY].iter().all(|&norm| factor(norm, 1.0).is_nan() && factor(norm, 0.0).is_nan()));
}

#[test]
fn a_step_by_a_gradient_that_is_no_number_changes_nothing() {
    for name in ["adamw", "sgd"] {
        let mut bowl = Bowl::new();
        let groups = Groups::standard(&bowl.params, 0.1);
        let mut optimizer: Box<dyn Optimizer<Cpu>> = match name {
            "adamw" => Box::new(AdamW::new(&Cpu, &bowl.params, groups, adamw::BETAS, adamw::EPS)),
            _ => Box::new(Sgd::new(&Cpu, &bowl.params, groups, 0.9)),
        };
        bowl.backward();
        optimizer.step(&Cpu, &mut bowl.params, &bowl.grads, 0.1, &1.0);
        let (values, moments) = (bowl.values(), optimizer.state(&Cpu, &bowl.params).moments);
        optimizer.step(&Cpu, &mut bowl.params, &bowl.grads, 0.1, &f64::NAN);
        assert_eq!((bowl.values(), optimizer.state(&Cpu, &bowl.params).moments), (values, moments), "{name}");
    }
}

#[test]
fn penalties_add_their_derivative_to_weights_only() {
    let mut bowl = Bowl::new();
    bowl.backward();
    let value = Penalty { l1: 0.3, l2: 0.2 }.apply(&Cpu, &bowl.params, &mut bowl.grads).expect("a penalty");
    let values = bowl.values();
    let expected: f64 = values[..21].iter().map(|w| 0.3 * w.abs() + 0.1 * w * w).sum();
    assert!((value - expected).abs() < 1e-5 * expected, "{value} {expected}");
    let gradients: Vec<f32> = bowl.grads.written_ids().flat_map(|id| bowl.grads.get(id).data.to_vec()).collect();
    for (i, (&w, &g)) in values.iter().zip(&gradients).enumerate() {
        let expected = if i < 21 { w + 0.3 * w.signum() + 0.2 * w } else { w };
        assert!((f64::from(g) - expected).abs() < 1e-6 * expected.abs().max(1.0), "{i}: {g} {expected}");
    }
}

#[test]
fn groups_count_what_decays_among_the_trainable() {
    let mut bowl = Bowl::new();
    let elements = |counts: [crate::groups::Count; 2]| counts.map(|count| (count.tensors, count.elements));
    assert_eq!(elements(Groups::counts(&bowl.params)), [(1, 21), (1, 5)]);
    let bias = bowl.params.layout().find("bias").unwrap();
    bowl.params.set_trainable(bias, false);
    assert_eq!(elements(Groups::counts(&bowl.params)), [(1, 21), (0, 0)]);
}

#[test]
fn a_rate_of_its_own_is_a_learning_rate_of_its_own() {
    for sgd in [false, true] {
        let train = |rate: f64, lr: f64| {
            let mut bowl = Bowl::new();
            let groups = Groups::standard(&bowl.params, 0.1)
                .with_rates(&bowl.params, |name| if name == "bias" { rate } else { 1.0 });
            let mut optimizer: Box<dyn Optimizer<Cpu>> = if sgd {
                Box::new(Sgd::new(&Cpu, &bowl.params, groups, 0.9))
            } else {
                Box::new(AdamW::new(&Cpu, &bowl.params, groups, adamw::BETAS, adamw::EPS))
            };
            for _ in 0..3 {
                bowl.backward();
                optimizer.step(&Cpu, &mut bowl.params, &bowl.grads, lr, &1.0);
            }
            bowl.values()
        };
        let (plain, half, slower) = (train(1.0, 0.01), train(0.5, 0.01), train(1.0, 0.005));
        let (weight, bias) = (..21, 21..);
        assert_eq!(half[weight], plain[weight], "weights keep the rate of the step");
        assert_eq!(half[bias.clone()], slower[bias.clone()], "half of 0.01 is 0.005");
        assert_ne!(half[bias.clone()], plain[bias]);
    }
}

/// A table of 12 rows of 5, of which a step reads three, with the gradients of a sum of squares.
struct Reader {
    params: Params<Cpu>,
    grads: Grads<Cpu>,
    optimizer: AdamW<Cpu>,
    pool: Pool<Cpu>,
    table: ParamId,
}

impl Reader {
    fn new(by_rows: bool) -> Reader {
        let mut layout = Layout::new();
        let table = layout.root().param("table", [12, 5], Init::Normal(1.0));
        let params = Params::init(&Cpu, layout, 3);
        let grads = if by_rows { Grads::by_rows(&Cpu, &params) } else { Grads::new(&Cpu, &params) };
        let groups = Groups::standard(&params, 0.1);
        let optimizer = AdamW::new(&Cpu, &params, groups, adamw::BETAS, adamw::EPS);
        Reader { grads, optimizer, pool: Pool::new(Cpu), table, params }
    }

    fn step(&mut self, step: u32, prepare: bool) {
        let ids = vec![step * step % 7, 3, step % 4, 3];
        if prepare {
            self.optimizer.prepare(&Cpu, &mut self.params, &[(self.table, ids.clone())]);
        }
        self.grads.clear();
        let mut tape = Tape::new(&Cpu, &self.params, &mut self.pool);
        let table = tape.param(self.table);
        let read = tape.apply(Embeddings { ids: vec![ids] }, &[table]);
        let square = tape.apply(Mul, &[read, read]);
        let loss = tape.apply(Sum { scale: 0.5 }, &[square]);
        tape.backward(loss, 1.0, &mut self.grads);
        let lr = 0.1 / f64::from(step + 1);
        self.optimizer.step(&Cpu, &mut self.params, &self.grads, lr, &0.5);
    }
}

#[test]
fn late_rows_get_the_bits_of_the_dense_update() {
    // More steps than are put off at most.
    let (mut dense, mut late) = (Reader::new(false), Reader::new(true));
    for step in 0..1500 {
        dense.step(step, false);
        late.step(step, true);
        if [2, 700].contains(&step) {
            late.optimizer.settle(&Cpu, &mut late.params);
            assert_eq!(late.params.flat(), dense.params.flat(), "step {step}");
        }
    }
    assert_eq!(late.grads.rows(late.table), Some(&[1499 * 1499 % 7, 3][..]));
    late.optimizer.settle(&Cpu, &mut late.params);
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(late.params.flat()), bits(dense.params.flat()));
    assert_eq!(late.optimizer.state(&Cpu, &late.params), dense.optimizer.state(&Cpu, &dense.params));
}

#[test]
#[should_panic(expected = "of `table` was read before it was brought up to date")]
fn a_forward_pass_that_was_not_announced_is_found() {
    let mut late = Reader::new(true);
    (0..5).for_each(|step| late.step(step, false));
}

#[test]
#[should_panic(expected = "`table` is read before the optimizer has settled it")]
fn an_evaluation_before_settling_is_found() {
    let mut late = Reader::new(true);
    late.step(1, true);
    Tape::inference(&Cpu, &late.params, &mut late.pool);
}

/// A parameter that was frozen for some steps starts with the bias correction of a first step, whose update is lr·sign(g).
#[test]
fn adamw_counts_the_steps_of_a_parameter_from_its_first_gradient() {
    let mut bowl = Bowl::new();
    let bias = bowl.params.layout().ids().nth(1).unwrap();
    let mut optimizer = AdamW::new(&Cpu, &bowl.params, Groups::standard(&bowl.params, 0.0), adamw::BETAS, adamw::EPS);
    let step = |bowl: &mut Bowl, optimizer: &mut AdamW<Cpu>| {
        bowl.backward();
        optimizer.step(&Cpu, &mut bowl.params, &bowl.grads, 0.01, &1.0);
    };
    bowl.params.set_trainable(bias, false);
    (0..3).for_each(|_| step(&mut bowl, &mut optimizer));
    bowl.params.set_trainable(bias, true);
    let before = bowl.params.get(bias).data.to_vec();
    // The count survives a checkpoint.
    let state = optimizer.state(&Cpu, &bowl.params);
    assert_eq!(state.starts.values().collect::<Vec<_>>(), [&0]);
    optimizer.restore(&Cpu, &bowl.params, &state).unwrap();
    step(&mut bowl, &mut optimizer);
    for (now, before) in bowl.params.get(bias).data.iter().zip(&before) {
        // Two roundings of numbers of about one, and ε beside gradients of at least 0.01.
        assert!((now - (before - 0.01 * before.signum())).abs() < 1e-6, "{before} {now}");
    }
    assert_eq!(optimizer.starts().values().collect::<Vec<_>>(), [&0, &3]);
}
