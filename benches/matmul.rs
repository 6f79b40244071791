//! Matmul at the shapes of BERT beside `matrixmultiply` and `gemm`, with the share of the multiply-add peak measured in the same run.
//! Must not know how any of them works.
//!
//! `matrixmultiply` is called through ndarray, which is safe, on one block of rows per thread: each thread packs B for itself.
//! (Its own threads are a cargo feature, which would also change the portable kernel in a build of the whole workspace.) The `gemm`
//! crate is called through the kernels' feature `opponent`.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use ferrotune_benches::values;
use ferrotune_kernels::matmul::opponent::gemm_crate;
use ferrotune_kernels::matmul::{Dims, Epilogue, Layout, Precision, matmul, scratch_len};
use ferrotune_kernels::par::Awake;
use ferrotune_kernels::{isa, peak};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

/// Tokens of a batch: one row of C each.
const TOKENS: [usize; 3] = [256, 746, 2048];
/// Inputs and outputs of the linear layers of MiniLM and of BERT-base.
const LAYERS: [(usize, usize); 6] = [(384, 384), (384, 1536), (1536, 384), (768, 768), (768, 3072), (3072, 768)];

/// Times `work` under `name`, then prints the rate of its fastest sample.
fn rate(criterion: &mut Criterion, name: &str, dims: Dims, peak: f64, mut work: impl FnMut()) {
    let mut fastest = f64::INFINITY;
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let start = Instant::now();
            (0..times).for_each(|_| work());
            let elapsed = start.elapsed();
            fastest = fastest.min(elapsed.as_secs_f64() / times as f64);
            elapsed
        });
    });
    // Not timed, if the command line filters by name.
    if fastest.is_finite() {
        let gflops = 2.0 * (dims.m * dims.n * dims.k) as f64 / fastest / 1e9;
        println!("{name}: {gflops:.1} GFLOP/s, {:.1} % of the peak of {peak:.1}", 100.0 * gflops / peak);
    }
}

/// `C = A·Bᵀ` with `matrixmultiply`: rows dealt to the threads of rayon.
fn opponent(dims: Dims, a: &[f32], b: &[f32], c: &mut [f32]) {
    let Dims { m, n, k } = dims;
    let rows = m.div_ceil(rayon::current_num_threads());
    let b = ArrayView2::from_shape((n, k), b).expect("b is [n, k]");
    c.par_chunks_mut(rows * n).zip(a.par_chunks(rows * k)).for_each(|(c, a)| {
        let a = ArrayView2::from_shape((a.len() / k, k), a).expect("whole rows");
        let mut c = ArrayViewMut2::from_shape((c.len() / n, n), c).expect("whole rows");
        general_mat_mul(1.0, &a, &b.t(), 0.0, &mut c);
    });
}

fn shapes(criterion: &mut Criterion) {
    let isa = isa::current();
    // As in training.
    let _awake = Awake::new();
    for precision in [Precision::F32, Precision::Bf16] {
        if precision.is_available(isa) {
            products(criterion, precision);
        }
    }
}

fn products(criterion: &mut Criterion, precision: Precision) {
    let isa = isa::current();
    let peak = peak::peak_gflops(isa, precision);
    let (threads, kind) = (rayon::current_num_threads(), precision.name());
    println!("{kind} on {}, {threads} threads: measured peak {peak:.1} GFLOP/s", isa.name());
    for (inputs, outputs) in LAYERS {
        for tokens in TOKENS {
            // Forward, then the gradients by the input and by the weight; each is 2·tokens·inputs·outputs operations.
            let products = [
                ("forward", Layout::NT, Dims { m: tokens, n: outputs, k: inputs }),
                ("dx", Layout::NN, Dims { m: tokens, n: inputs, k: outputs }),
                ("dw", Layout::TN, Dims { m: outputs, n: inputs, k: tokens }),
            ];
            for (product, layout, dims) in products {
                let Dims { m, n, k } = dims;
                let (a, b, mut c) = (values(1, m * k), values(2, k * n), vec![0.0; m * n]);
                let mut scratch = vec![0.0; scratch_len(layout, dims)];
                let name = |who: &str| format!("matmul/{kind}/{product}/{tokens}x{inputs}x{outputs}/{who}");
                rate(criterion, &name("ferrotune"), dims, peak, || {
                    matmul(precision, layout, dims, &a, &b, 0.0, &mut c, Epilogue::None, &mut scratch);
                });
                if precision == Precision::Bf16 {
                    continue; // The opponents have f32 alone.
                }
                rate(criterion, &name("gemm"), dims, peak, || gemm_crate(layout, dims, &a, &b, &mut c));
                if layout == Layout::NT {
                    rate(criterion, &name("matrixmultiply"), dims, peak, || opponent(dims, &a, &b, &mut c));
                }
            }
        }
    }
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = short(); targets = shapes }
/// On a thread of the pool, as the command line runs; from outside, each parallel kernel would wait for a thread to wake.
fn main() {
    rayon::scope(|_| benches());
}
