//! Checks an op against a reference in f64: its value, and its gradient by a random projection of the output.
//! Offered to everybody who writes an op. Knows no built-in op.

use crate::init::Init;
use crate::{Backward, Cpu, Forward, Grads, Layout, Op, ParamId, Params, Pool, Tape, Tensor};
use ndarray::ArrayD;

/// What [`gradcheck`] found: the largest difference, in units of the largest magnitude of the tensor (at least 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Of the value.
    pub forward: f64,
    /// Of the gradients.
    pub backward: f64,
}

/// How far the value may be from the f64 reference, in units of the largest magnitude (at least 1). f32 keeps 24 bits, and
/// sums of up to a few hundred products lose about 8 of them.
pub const FORWARD_TOLERANCE: f64 = 2e-5;
/// The same for gradients, which pass through two such sums.
pub const BACKWARD_TOLERANCE: f64 = 1e-4;

/// Compares an op with `reference`, the same function in f64, at the point `inputs`.
///
/// With random weights `r` of the output, the gradient of `Σ r·f(x)` by each element of each input is found three ways: by central
/// differences of the reference, by the op overwriting memory that holds NaN, and by the op accumulating. Each input is also asked for
/// alone. `make` gives a fresh op for each run.
///
/// # Errors
/// A sentence that says which value or gradient is off, where and by how much.
pub fn gradcheck<O: Op<Cpu> + 'static>(
    make: impl Fn() -> O,
    inputs: &[ArrayD<f32>],
    reference: impl Fn(&[ArrayD<f64>]) -> ArrayD<f64>,
) -> Result<Report, String> {
    let name = make().name();
    let exact: Vec<ArrayD<f64>> = inputs.iter().map(|x| x.mapv(f64::from)).collect();
    let expected = reference(&exact);
    let weights = projection(expected.len());

    let mut params = as_params(inputs);
    let ids: Vec<ParamId> = params.layout().ids().collect();
    let mut grads = Grads::new(&Cpu, &params);
    let layout = params.layout().clone();
    let all = 0..layout.flat_len();
    <Cpu as crate::Backend>::slice_mut(&mut grads.flat, all).fill(f32::NAN);

    let mut pool = Pool::new(Cpu);
    let value = run(&make, &params, &ids, &weights, &mut pool, &mut grads);
    let shape_matches = expected.len() == value.len();
    if !shape_matches {
        return Err(format!("{name}: the reference has {} elements, the op {}", expected.len(), value.len()));
    }
    let expected: Vec<f64> = expected.iter().copied().collect();
    let forward = compare(&format!("{name}: value"), &expected, &value, FORWARD_TOLERANCE)?;

    let numeric = central_differences(&exact, &weights, &reference);
    let mut backward: f64 = 0.0;
    for (i, id) in ids.iter().enumerate() {
        let what = format!("{name}: gradient of input {i}");
        backward = backward.max(compare(&what, &numeric[i], grads.get(*id).data, BACKWARD_TOLERANCE)?);
    }
    run(&make, &params, &ids, &weights, &mut pool, &mut grads);
    for (i, id) in ids.iter().enumerate() {
        let doubled: Vec<f64> = numeric[i].iter().map(|g| 2.0 * g).collect();
        let what = format!("{name}: accumulated gradient of input {i}");
        backward = backward.max(compare(&what, &doubled, grads.get(*id).data, BACKWARD_TOLERANCE)?);
    }
    for (i, &alone) in ids.iter().enumerate() {
        ids.iter().for_each(|&id| params.set_trainable(id, id == alone));
        grads.clear();
        run(&make, &params, &ids, &weights, &mut pool, &mut grads);
        let what = format!("{name}: gradient of input {i} alone");
        backward = backward.max(compare(&what, &numeric[i], grads.get(alone).data, BACKWARD_TOLERANCE)?);
    }
    Ok(Report { forward, backward })
}

/// Runs the op and the backward pass of `Σ weights·y`; returns y.
fn run<O: Op<Cpu> + 'static>(
    make: &impl Fn() -> O,
    params: &Params<Cpu>,
    ids: &[ParamId],
    weights: &[f64],
    pool: &mut Pool<Cpu>,
    grads: &mut Grads<Cpu>,
) -> Vec<f32> {
    let mut tape = Tape::new(&Cpu, params, pool);
    let vars: Vec<_> = ids.iter().map(|&id| tape.param(id)).collect();
    let y = tape.apply(make(), &vars);
    let value = tape.download(y);
    if value.len() == weights.len() {
        let projected = tape.apply(Project { weights: weights.iter().map(|&w| w as f32).collect() }, &[y]);
        tape.backward(projected, 1.0, grads);
    }
    value
}

/// `Σ weights·x`, a scalar.
struct Project {
    weights: Vec<f32>,
}

impl Op<Cpu> for Project {
    fn name(&self) -> &'static str {
        "projection"
    }

    fn forward(&mut self, cx: Forward<'_, '_, Cpu>) -> Tensor<Cpu> {
        let mut y = cx.pool.take([1]);
        y.data_mut()[0] = self.weights.iter().zip(cx.x[0].data).map(|(w, x)| w * x).sum();
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, Cpu>) {
        let Some((dx, _)) = cx.dx[0].target() else { return };
        dx.iter_mut().zip(&self.weights).for_each(|(dx, w)| *dx = cx.dy.data[0] * w);
    }
}

fn as_params(inputs: &[ArrayD<f32>]) -> Params<Cpu> {
    let mut layout = Layout::new();
    for (i, x) in inputs.iter().enumerate() {
        layout.root().param(&format!("input {i}"), x.shape(), Init::Zeros);
    }
    let mut params = Params::zeros(&Cpu, layout);
    for (id, x) in params.layout().ids().collect::<Vec<_>>().into_iter().zip(inputs) {
        params.set(&Cpu, id, Tensor::from(x.view()).data());
    }
    params
}

/// Fixed weights in [-1, 1] that f32 holds exactly: the fractional parts of multiples of the golden ratio.
fn projection(len: usize) -> Vec<f64> {
    (1..=len).map(|i| f64::from((2.0 * (i as f64 * 0.618_033_988_749_895).fract() - 1.0) as f32)).collect()
}

fn central_differences(
    inputs: &[ArrayD<f64>],
    weights: &[f64],
    reference: &impl Fn(&[ArrayD<f64>]) -> ArrayD<f64>,
) -> Vec<Vec<f64>> {
    // The error of a central difference is h²/6·f''' + ε|f|/h: about 1e-10 at h = 1e-5 for functions of size 1.
    const H: f64 = 1e-5;
    let project = |x: &[ArrayD<f64>]| reference(x).iter().zip(weights).map(|(y, w)| y * w).sum::<f64>();
    let mut point = inputs.to_vec();
    let mut gradients = Vec::new();
    for i in 0..inputs.len() {
        let mut gradient = Vec::new();
        for j in 0..inputs[i].len() {
            let mut at = |offset: f64| {
                let element = point[i].iter_mut().nth(j).expect("j is an element of input i");
                let kept = std::mem::replace(element, *element + offset);
                let value = project(&point);
                *point[i].iter_mut().nth(j).expect("j is an element of input i") = kept;
                value
            };
            gradient.push((at(H) - at(-H)) / (2.0 * H));
        }
        gradients.push(gradient);
    }
    gradients
}

fn compare(what: &str, expected: &[f64], got: &[f32], tolerance: f64) -> Result<f64, String> {
    let unit = expected.iter().fold(1.0f64, |unit, e| unit.max(e.abs()));
    let mut worst: f64 = 0.0;
    for (i, (&e, &g)) in expected.iter().zip(got).enumerate() {
        let difference = (e - f64::from(g)).abs() / unit;
        if difference.is_nan() || difference > tolerance {
            return Err(format!(
                "{what}: element {i} is {g}, expected {e:.7} ({difference:.1e} off, allowed {tolerance:.0e})"
            ));
        }
        worst = worst.max(difference);
    }
    Ok(worst)
}
