//! Gradcheck of every built-in op, and the tape's promises: coverage, freezing, shared inputs, no allocation.

use super::*;
use crate::backend::{LinearDims, LinearGrads};
use crate::init::Init;
use crate::prelude::*;
use crate::{Backend, Pool, Precision};
use ndarray::{Array2, ArrayD, ArrayView2, Axis, IxDyn, Slice};
use std::ops::Range;
use std::sync::Arc;

/// Deterministic values in about [-1.5, 1.5], different for each `salt`.
fn values(shape: &[usize], salt: usize) -> ArrayD<f32> {
    let at = |i: usize| (((i * 7919 + salt * 104_729 + 31) % 3001) as f32 / 1000.0) - 1.5;
    ArrayD::from_shape_vec(IxDyn(shape), (0..shape.iter().product()).map(at).collect()).unwrap()
}

fn check<O: Op<Cpu> + 'static>(
    make: impl Fn() -> O,
    shapes: &[&[usize]],
    reference: impl Fn(&[ArrayD<f64>]) -> ArrayD<f64>,
) {
    let inputs: Vec<_> = shapes.iter().enumerate().map(|(salt, shape)| values(shape, salt)).collect();
    gradcheck(make, &inputs, reference).unwrap();
}

fn matrix(x: &ArrayD<f64>) -> Array2<f64> {
    x.clone().into_dimensionality().unwrap()
}

fn part(x: &Array2<f64>, rows: Range<usize>, cols: Range<usize>) -> ArrayView2<'_, f64> {
    let mut view = x.view();
    view.slice_axis_inplace(Axis(0), Slice::from(rows));
    view.slice_axis_inplace(Axis(1), Slice::from(cols));
    view
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))
}

fn softmax(x: &Array2<f64>) -> Array2<f64> {
    let e = x.mapv(f64::exp);
    let sums = e.sum_axis(Axis(1)).insert_axis(Axis(1));
    e / sums
}

fn layer_norm(x: &Array2<f64>, gamma: &ArrayD<f64>, bias: &ArrayD<f64>, eps: f64) -> ArrayD<f64> {
    let mean = x.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    let centred = x - &mean;
    let variance = (&centred * &centred).mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    let gamma = gamma.clone().into_shape_with_order(gamma.len()).unwrap();
    let bias = bias.clone().into_shape_with_order(bias.len()).unwrap();
    (centred / variance.mapv(|v| (v + eps).sqrt()) * gamma + bias).into_dyn()
}

fn kept(x: &ArrayD<f64>, mask: Mask) -> ArrayD<f64> {
    let mut y = x.clone();
    y.iter_mut().enumerate().for_each(|(i, y)| *y *= f64::from(mask.keep_scale(i as u64)));
    y
}

#[test]
fn elementwise_ops() {
    check(|| Add, &[&[3, 5], &[3, 5]], |x| &x[0] + &x[1]);
    check(|| Mul, &[&[3, 5], &[3, 5]], |x| &x[0] * &x[1]);
    check(|| Sum { scale: 0.25 }, &[&[4, 3]], |x| ndarray::arr0(0.25 * x[0].sum()).into_dyn());
    check(|| Gelu, &[&[7, 9]], |x| x[0].mapv(gelu));
    check(|| Tanh, &[&[7, 9]], |x| x[0].mapv(f64::tanh));
    check(|| Relu, &[&[7, 9]], |x| x[0].mapv(|x| x.max(0.0)));
    check(|| Softmax, &[&[5, 7]], |x| softmax(&matrix(&x[0])).into_dyn());
    let mask = Mask::new(0.3, 7, 1, 2, 3);
    check(move || Dropout { mask }, &[&[6, 8]], |x| kept(&x[0], mask));
}

#[test]
fn low_rank() {
    for (n, i, r, o) in [(1, 1, 1, 1), (5, 9, 2, 7), (13, 16, 4, 33)] {
        let reference =
            |x: &[ArrayD<f64>]| (0.5 * matrix(&x[0]).dot(&matrix(&x[1]).t()).dot(&matrix(&x[2]).t())).into_dyn();
        check(|| LowRank::new(0.5), &[&[n, i], &[r, i], &[o, r]], reference);
    }
}

#[test]
fn linear() {
    for (n, i, o) in [(1, 1, 1), (4, 3, 5), (7, 16, 2), (13, 9, 33)] {
        let reference = |x: &[ArrayD<f64>]| {
            let bias = x[2].clone().into_shape_with_order(x[2].len()).unwrap();
            (matrix(&x[0]).dot(&matrix(&x[1]).t()) + bias).into_dyn()
        };
        check(Linear::new, &[&[n, i], &[o, i], &[o]], reference);
        check(Linear::with_gelu, &[&[n, i], &[o, i], &[o]], |x| reference(x).mapv(gelu));
        check(Linear::new, &[&[n, i], &[o, i]], |x| matrix(&x[0]).dot(&matrix(&x[1]).t()).into_dyn());
    }
}

/// In bf16 a linear layer is that of its rounded inputs, forward and backward, up to the order of f32 sums.
#[test]
fn linear_in_bf16() {
    let Some(bf16) = Cpu::with(Precision::Bf16) else { return };
    let (n, i, o) = (13, 9, 33);
    let numbers = |count: usize, seed: usize| -> Vec<f32> {
        (0..count).map(|k| ((k * 7919 + seed * 613) % 1021) as f32 / 512.0 - 1.0).collect()
    };
    // Numbers of 8 significant bits, which rounding leaves as they are.
    let short =
        |x: Vec<f32>| -> Vec<f32> { x.into_iter().map(|x| f32::from_bits(x.to_bits() & 0xffff_0000)).collect() };
    let run = |cpu: Cpu, x: &[f32], w: &[f32], dy: &[f32]| {
        let (b, dims, pool) = (numbers(o, 3), LinearDims { n, i, o }, &mut Pool::new(cpu));
        let [mut y, mut dx, mut dw, mut db] = [n * o, n * i, o * i, o].map(|len| vec![f32::NAN; len]);
        cpu.linear(pool, &mut y, None, x, w, Some(&b), dims);
        let grads =
            LinearGrads { dx: Some((&mut dx[..], 0.0)), dw: Some((&mut dw[..], 0.0)), db: Some((&mut db[..], 0.0)) };
        cpu.linear_backward(pool, grads, dy, x, w, dims);
        [y, dx, dw, db].concat()
    };
    let [x, w, dy] = [(n * i, 1), (o * i, 2), (n * o, 4)].map(|(count, seed)| short(numbers(count, seed)));
    for (got, expected) in run(bf16, &x, &w, &dy).iter().zip(run(Cpu, &x, &w, &dy)) {
        // Sums of at most 33 products below 1.
        assert!((got - expected).abs() <= 33.0 * 33.0 * f32::EPSILON, "{got} {expected}");
    }
    // Next to one in f32, one in bf16.
    let near = vec![1.0 + 2f32.powi(-20); n * i];
    let (ones, rounded) = (run(bf16, &vec![1.0; n * i], &w, &dy), run(bf16, &near, &w, &dy));
    assert!(ones == rounded && ones != run(Cpu, &near, &w, &dy));
}

#[test]
fn add_norm() {
    let (eps, mask) = (1e-5, Mask::new(0.2, 3, 0, 1, 1));
    let shapes: [&[usize]; 4] = [&[5, 12], &[12], &[12], &[5, 12]];
    check(|| AddNorm::new(1e-5, Mask::NONE), &shapes[..3], |x| layer_norm(&matrix(&x[0]), &x[1], &x[2], eps));
    check(
        move || AddNorm::new(1e-5, mask),
        &shapes,
        |x| layer_norm(&matrix(&(kept(&x[0], mask) + &x[3])), &x[1], &x[2], eps),
    );
    let zeros = ArrayD::zeros(IxDyn(&[12]));
    let no_bias = || AddNorm::new(1e-5, Mask::NONE).without_bias();
    check(no_bias, &shapes[..2], |x| layer_norm(&matrix(&x[0]), &x[1], &zeros, eps));
    let shapes_without = [shapes[0], shapes[1], shapes[3]];
    check(
        move || AddNorm::new(1e-5, mask).without_bias(),
        &shapes_without,
        |x| layer_norm(&matrix(&(kept(&x[0], mask) + &x[2])), &x[1], &zeros, eps),
    );
    // Five rows of a matrix of twenty.
    let rows = [17u32, 0, 3, 4, 9];
    let dropped = |x: &ArrayD<f64>| {
        let mut y = x.clone();
        let element = |i: usize| u64::from(rows[i / 12]) * 12 + i as u64 % 12;
        y.iter_mut().enumerate().for_each(|(i, y)| *y *= f64::from(mask.keep_scale(element(i))));
        y
    };
    check(
        move || AddNorm::new(1e-5, mask).with_mask_rows(Arc::from(rows)),
        &shapes,
        |x| layer_norm(&matrix(&(dropped(&x[0]) + &x[3])), &x[1], &x[2], eps),
    );
}

#[test]
fn attention() {
    let (heads, dim) = (2usize, 4usize);
    let offsets: Arc<[u32]> = Arc::from([0u32, 1, 4, 9]);
    for mask in [Mask::NONE, Mask::new(0.25, 5, 2, 0, 0)] {
        let full = |q: &Array2<f64>, k: &Array2<f64>, v: &Array2<f64>| {
            let mut ctx = Array2::zeros((9, heads * dim));
            for pair in offsets.windows(2) {
                let rows = pair[0] as usize..pair[1] as usize;
                for head in 0..heads {
                    let of = |x| part(x, rows.clone(), head * dim..(head + 1) * dim);
                    let scores = of(q).dot(&of(k).t()) / (dim as f64).sqrt();
                    let mut p = softmax(&scores);
                    for ((i, j), p) in p.indexed_iter_mut() {
                        let row = ((rows.start + i) * heads + head) as u64;
                        *p *= f64::from(mask.keep_scale(row << 17 | j as u64));
                    }
                    for ((i, c), value) in p.dot(&of(v)).indexed_iter() {
                        ctx[[rows.start + i, head * dim + c]] = *value;
                    }
                }
            }
            ctx
        };
        let third = |x: &Array2<f64>, index: usize| part(x, 0..x.nrows(), index * 8..(index + 1) * 8).to_owned();
        let make = || {
            let bounds = offsets.clone();
            move || Attention::new(heads, bounds.clone(), mask)
        };
        check(make(), &[&[9, 8], &[9, 8], &[9, 8]], |x| {
            full(&matrix(&x[0]), &matrix(&x[1]), &matrix(&x[2])).into_dyn()
        });
        check(make(), &[&[9, 8], &[9, 16]], |x| {
            let kv = matrix(&x[1]);
            full(&matrix(&x[0]), &third(&kv, 0), &third(&kv, 1)).into_dyn()
        });
        check(make(), &[&[9, 24]], |x| {
            let all = matrix(&x[0]);
            full(&third(&all, 0), &third(&all, 1), &third(&all, 2)).into_dyn()
        });
        // One query for each of the sequences at rows 0, 1 and 4.
        let bounds = offsets.clone();
        let few = move || Attention::with_queries(heads, Arc::from([0u32, 1, 2, 3]), bounds.clone(), mask);
        check(few, &[&[3, 8], &[9, 16]], |x| {
            let (few, kv, rows) = (matrix(&x[0]), matrix(&x[1]), [0, 1, 4]);
            let mut q = Array2::zeros((9, 8));
            rows.iter().zip(few.rows()).for_each(|(&row, few)| q.row_mut(row).assign(&few));
            full(&q, &third(&kv, 0), &third(&kv, 1)).select(Axis(0), &rows).into_dyn()
        });
    }
}

#[test]
fn attention_within_a_window() {
    let offsets: Arc<[u32]> = Arc::from([0u32, 2, 9]);
    for window in [0u32, 1, 3] {
        let bounds = offsets.clone();
        let make = move || Attention::new(1, bounds.clone(), Mask::NONE).within(Some(window));
        check(make, &[&[9, 4], &[9, 4], &[9, 4]], |x| {
            let [q, k, v] = [0, 1, 2].map(|index| matrix(&x[index]));
            let mut scores = q.dot(&k.t()) / 2.0;
            for ((i, j), score) in scores.indexed_iter_mut() {
                if (i < 2) != (j < 2) || i.abs_diff(j) > window as usize {
                    *score = f64::NEG_INFINITY;
                }
            }
            softmax(&scores).dot(&v).into_dyn()
        });
    }
}

#[test]
fn attention_by_distance() {
    let (heads, dim, count) = (2usize, 3usize, 3usize);
    let offsets: Arc<[u32]> = Arc::from([0u32, 2, 7]);
    // The bucket of each distance, from -4 to 4.
    let of = [2u32, 2, 0, 1, 1, 0, 1, 2, 0];
    let full = |x: &[ArrayD<f64>], by_key: bool| {
        let [q, k, v] = [0, 1, 2].map(|index| matrix(&x[index]));
        let mut ctx = Array2::zeros((7, heads * dim));
        for pair in offsets.windows(2) {
            let rows = pair[0] as usize..pair[1] as usize;
            for head in 0..heads {
                let of_head = |x| part(x, rows.clone(), head * dim..(head + 1) * dim);
                let mut scores = of_head(&q).dot(&of_head(&k).t());
                for ((i, j), score) in scores.indexed_iter_mut() {
                    let column = head * count + of[4 + j - i] as usize;
                    *score += x[3][[rows.start + i, column]];
                    *score += if by_key { x[4][[rows.start + j, column]] } else { 0.0 };
                }
                let p = softmax(&(scores / ((dim * 3) as f64).sqrt()));
                for ((i, c), value) in p.dot(&of_head(&v)).indexed_iter() {
                    ctx[[rows.start + i, head * dim + c]] = *value;
                }
            }
        }
        ctx.into_dyn()
    };
    for by_key in [false, true] {
        let bounds = offsets.clone();
        let distances = Distances { buckets: Arc::from(of), count, by_key };
        let make = move || Attention::new(heads, bounds.clone(), Mask::NONE).by_distance(distances.clone(), 3);
        let shapes: [&[usize]; 5] = [&[7, 6], &[7, 6], &[7, 6], &[7, 6], &[7, 6]];
        check(make, &shapes[..if by_key { 5 } else { 4 }], |x| full(x, by_key));
    }
}

#[test]
fn head_products() {
    check(
        || HeadProducts { heads: 2 },
        &[&[5, 6], &[4, 6]],
        |x| {
            let (x, p) = (matrix(&x[0]), matrix(&x[1]));
            let of_head = |x, rows, head: usize| part(x, 0..rows, 3 * head..3 * head + 3).to_owned();
            let products = [0, 1].map(|head| of_head(&x, 5, head).dot(&of_head(&p, 4, head).t()));
            ndarray::concatenate![Axis(1), products[0], products[1]].into_dyn()
        },
    );
}

#[test]
fn rotary() {
    let (positions, frequencies): (Arc<[u32]>, Arc<[f32]>) = (Arc::from([0, 1, 2, 0, 5]), Arc::from([1.0, 0.25]));
    let make = || Rotary { heads: 2, positions: positions.clone(), frequencies: frequencies.clone() };
    check(make, &[&[5, 10]], |x| {
        let mut y = matrix(&x[0]);
        for (row, &position) in positions.iter().enumerate() {
            for (low, frequency) in [(0, 1.0), (1, 0.25), (4, 1.0), (5, 0.25)] {
                let ((s, c), high) = ((f64::from(position) * frequency).sin_cos(), low + 2);
                let (a, b) = (x[0][[row, low]], x[0][[row, high]]);
                (y[[row, low]], y[[row, high]]) = (a * c - b * s, b * c + a * s);
            }
        }
        y.into_dyn()
    });
}

#[test]
fn geglu() {
    check(
        || Geglu,
        &[&[5, 8]],
        |x| {
            let x = matrix(&x[0]);
            (part(&x, 0..5, 0..4).mapv(gelu) * part(&x, 0..5, 4..8)).into_dyn()
        },
    );
}

#[test]
fn means_of_sequences() {
    let offsets: Arc<[u32]> = Arc::from([0u32, 1, 1, 4]);
    let make = || SequenceMeans { offsets: offsets.clone() };
    check(make, &[&[4, 3]], |x| {
        let x = matrix(&x[0]);
        let mut y = Array2::zeros((3, 3));
        y.row_mut(0).assign(&x.row(0));
        y.row_mut(2).assign(&part(&x, 1..4, 0..3).mean_axis(Axis(0)).unwrap());
        y.into_dyn()
    });
}

#[test]
fn embeddings_and_rows() {
    let ids = || vec![vec![3, 0, 3, 1], vec![0, 1, 2, 3]];
    check(
        move || Embeddings { ids: ids() },
        &[&[5, 6], &[4, 6]],
        |x| {
            let mut y = Array2::zeros((4, 6));
            for (t, (&a, &b)) in ids()[0].iter().zip(&ids()[1]).enumerate() {
                let sum = &matrix(&x[0]).row(a as usize) + &matrix(&x[1]).row(b as usize);
                y.row_mut(t).assign(&sum);
            }
            y.into_dyn()
        },
    );
    check(|| GatherRows { rows: vec![4, 0, 2] }, &[&[5, 3]], |x| x[0].select(Axis(0), &[4, 0, 2]));
}

/// An op with a wrong derivative, and one that forgets to write.
struct Faulty {
    writes: bool,
}

impl Op<Cpu> for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }
    fn forward(&mut self, cx: Forward<'_, '_, Cpu>) -> Tensor<Cpu> {
        let mut y = cx.pool.take(cx.x[0].shape);
        y.data_mut().iter_mut().zip(cx.x[0].data).for_each(|(y, x)| *y = x * x);
        y
    }
    fn backward(&mut self, cx: Backward<'_, '_, Cpu>) {
        if self.writes
            && let Some((dx, _)) = cx.dx[0].target()
        {
            dx.iter_mut().zip(cx.x[0].data).for_each(|(dx, x)| *dx = 1.9 * x);
        }
    }
}

#[test]
fn gradcheck_rejects_a_wrong_derivative() {
    let error = gradcheck(|| Faulty { writes: true }, &[values(&[3], 1)], |x| &x[0] * &x[0]).unwrap_err();
    assert!(error.starts_with("faulty: gradient of input 0: element 0 is "), "{error}");
}

#[test]
#[should_panic(expected = "gradient coverage: op `faulty` was asked for the gradient of input 0 and wrote none")]
fn an_op_that_writes_no_gradient_is_named() {
    let _ = gradcheck(|| Faulty { writes: false }, &[values(&[3], 1)], |x| &x[0] * &x[0]);
}

/// y = gelu(x Wᵀ + b), then the same weights again, then y·y summed: tied weights and one variable as two inputs.
fn tied(params: &Params<Cpu>, pool: &mut Pool<Cpu>, grads: Option<&mut Grads<Cpu>>) -> (f32, usize) {
    let ids: Vec<_> = params.layout().ids().collect();
    let mut tape = Tape::new(&Cpu, params, pool);
    let x = tape.constant_from([2, 3], &[0.3, -0.7, 1.1, 0.9, 0.2, -1.4]);
    let (w, b) = (tape.param(ids[0]), tape.param(ids[1]));
    let h = tape.scope(|tape| tape.apply(Linear::with_gelu(), &[x, w, b]));
    let h = tape.apply(Linear::new(), &[h, w, b]);
    let h = tape.apply(Mul, &[h, h]);
    let loss = tape.apply(Sum { scale: 0.5 }, &[h]);
    let (value, recorded) = (tape.download(loss)[0], tape.recorded());
    if let Some(grads) = grads {
        tape.backward(loss, 1.0, grads);
    }
    (value, recorded)
}

fn tied_params() -> Params<Cpu> {
    let mut layout = Layout::new();
    let mut root = layout.root();
    let mut dense = root.enter("dense");
    dense.param("weight", [3, 3], Init::Normal(0.7));
    dense.param("bias", [3], Init::Uniform(0.3));
    Params::init(&Cpu, layout, 11)
}

#[test]
fn tied_weights_and_repeated_inputs_sum_their_gradients() {
    let mut params = tied_params();
    let mut pool = Pool::new(Cpu);
    let mut grads = Grads::new(&Cpu, &params);
    tied(&params, &mut pool, Some(&mut grads));
    for id in params.layout().ids().collect::<Vec<_>>() {
        for k in 0..params.get(id).data.len() {
            let mut shifted = |by: f32| {
                params.get_mut(id)[k] += by;
                let value = tied(&params, &mut pool, None).0;
                params.get_mut(id)[k] -= by;
                value
            };
            let numeric = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            // h²/6·f''' and f32 rounding of a loss near 1 divided by 2h: both below 2e-3 here.
            assert!((numeric - grads.get(id).data[k]).abs() < 4e-3, "{numeric} {}", grads.get(id).data[k]);
        }
    }
}

#[test]
fn no_buffer_is_allocated_after_the_first_step() {
    let params = tied_params();
    let mut pool = Pool::new(Cpu);
    let mut grads = Grads::new(&Cpu, &params);
    tied(&params, &mut pool, Some(&mut grads));
    let first = pool.misses();
    for _ in 0..20 {
        grads.clear();
        tied(&params, &mut pool, Some(&mut grads));
        tied(&params, &mut pool, None);
    }
    assert_eq!(pool.misses(), first);
}

#[test]
fn frozen_parameters_record_nothing_and_get_no_gradient() {
    let mut params = tied_params();
    let ids: Vec<_> = params.layout().ids().collect();
    let mut pool = Pool::new(Cpu);
    let (value, all) = tied(&params, &mut pool, None);
    params.set_trainable(ids[0], false);
    let mut grads = Grads::new(&Cpu, &params);
    tied(&params, &mut pool, Some(&mut grads));
    assert_eq!((grads.is_written(ids[0]), grads.is_written(ids[1])), (false, true));
    params.set_trainable(ids[1], false);
    assert_eq!((all, tied(&params, &mut pool, None)), (4, (value, 0)));
}

#[test]
fn coverage_names_a_parameter_that_no_path_reaches() {
    let mut layout = Layout::new();
    let used = layout.root().param("used", [2, 2], Init::Ones);
    layout.root().param("cut.off", [2], Init::Ones);
    let params = Params::init(&Cpu, layout, 0);
    let mut pool = Pool::new(Cpu);
    let mut grads = Grads::new(&Cpu, &params);
    let mut tape = Tape::new(&Cpu, &params, &mut pool);
    let w = tape.param(used);
    let loss = tape.apply(Sum { scale: 1.0 }, &[w]);
    tape.backward(loss, 1.0, &mut grads);
    assert_eq!(grads.uncovered(&params), ["cut.off"]);
}

#[test]
#[should_panic(expected = "linear: argument `weight`: expected [rows, 3], got [2, 4]")]
fn a_wrong_shape_names_op_and_argument() {
    let _ = gradcheck(Linear::new, &[values(&[1, 3], 0), values(&[2, 4], 1), values(&[2], 2)], |x| x[0].clone());
}

#[test]
fn ndarray_in_and_out() {
    let array = values(&[3, 4], 5);
    let tensor = Tensor::from(array.view().reversed_axes());
    assert_eq!(tensor.shape.dims(), [4, 3]);
    assert_eq!(tensor.array(), array.view().reversed_axes());
    assert_eq!(tensor.data().as_ptr() as usize % 64, 0, "tensors start at a cache line");
}
