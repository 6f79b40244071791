//! Tests of the matmul: every kernel of this machine, and the AVX-512 tile shape in plain Rust, against the textbook.

mod models;

use super::{Dims, Epilogue, Layout, Precision, loops, matmul_on, portable, scratch_len, textbook};
use crate::gelu;
use crate::isa::{self, Isa};
use models::{Model512, ModelAmx, round};

const LAYOUTS: [Layout; 3] = [Layout::NN, Layout::NT, Layout::TN];
const SIZES: [usize; 17] = [0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 48, 49, 97, 100, 257];

/// What can be tested here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    Of(Isa, Precision),
    Model512(Precision),
    ModelAmx,
}

impl Kernel {
    fn precision(self) -> Precision {
        match self {
            Kernel::Of(_, precision) | Kernel::Model512(precision) => precision,
            Kernel::ModelAmx => Precision::Bf16,
        }
    }

    /// What it makes of an operand.
    fn operand(self, x: Vec<f32>) -> Vec<f32> {
        if self.precision() == Precision::Bf16 { x.into_iter().map(round).collect() } else { x }
    }
}

fn kernels() -> Vec<Kernel> {
    let precisions = [Precision::F32, Precision::Bf16];
    let sets = isa::available().flat_map(|isa| precisions.map(|precision| (isa, precision)));
    let mut kernels: Vec<_> = sets
        .filter(|(isa, precision)| precision.is_available(*isa))
        .map(|(isa, precision)| Kernel::Of(isa, precision))
        .collect();
    if cfg!(not(target_arch = "x86_64")) || Isa::Avx2.is_available() {
        kernels.extend(precisions.map(Kernel::Model512));
        kernels.push(Kernel::ModelAmx);
    }
    kernels
}

/// Small numbers that look random: multiples of 1/512 within ±1, different for each seed.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1021) as f32 / 512.0 - 1.0).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    None,
    Bias,
    BiasGelu,
}

/// One product: its inputs and what comes out.
#[derive(Debug)]
struct Case {
    layout: Layout,
    dims: Dims,
    beta: f32,
    ending: Ending,
}

impl Case {
    /// Runs the case; returns C and `pre`. C starts as NaN where beta is 0.
    fn run(&self, kernel: Kernel) -> (Vec<f32>, Vec<f32>) {
        let Case { layout, dims, beta, ending } = *self;
        let Dims { m, n, k } = dims;
        let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
        let mut c = self.start();
        let mut pre = vec![f32::NAN; if ending == Ending::BiasGelu { m * n } else { 0 }];
        // One more in front: the kernels must not count on alignment.
        let mut scratch = vec![f32::NAN; scratch_len(layout, dims) + 1];
        let scratch = &mut scratch[1..];
        let end = match ending {
            Ending::None => Epilogue::None,
            Ending::Bias => Epilogue::Bias(&bias),
            Ending::BiasGelu => Epilogue::BiasGelu { bias: &bias, pre: &mut pre },
        };
        match kernel {
            Kernel::Of(isa, precision) => {
                matmul_on(isa, precision, layout, dims, &a, &b, beta, &mut c, end, scratch);
            }
            // SAFETY: `kernels` lists the model only where it can run; all lengths are right.
            Kernel::Model512(Precision::F32) => unsafe {
                loops::run::<Model512<false>>(layout, dims, &a, &b, beta, &mut c, end, scratch);
            },
            // SAFETY: as above.
            Kernel::Model512(Precision::Bf16) => unsafe {
                loops::run::<Model512<true>>(layout, dims, &a, &b, beta, &mut c, end, scratch);
            },
            // SAFETY: as above.
            Kernel::ModelAmx => unsafe {
                loops::run::<ModelAmx>(layout, dims, &a, &b, beta, &mut c, end, scratch);
            },
        }
        (c, pre)
    }

    fn start(&self) -> Vec<f32> {
        let count = self.dims.m * self.dims.n;
        if self.beta == 0.0 { vec![f32::NAN; count] } else { numbers(count, 4) }
    }

    /// The product (without ending) of the operands as this kernel rounds them by the textbook in f32 and f64, and Σ|a||b| + |c| of
    /// each element.
    fn expected(&self, kernel: Kernel) -> (Vec<f32>, Vec<f64>, Vec<f64>) {
        let Case { layout, dims, beta, .. } = *self;
        let [a, b] = [numbers(dims.m * dims.k, 1), numbers(dims.k * dims.n, 2)].map(|x| kernel.operand(x));
        let mut narrow = self.start();
        textbook::matmul(layout, dims, &a, &b, beta, &mut narrow);
        let wide = |x: &[f32], of: fn(f64) -> f64| x.iter().map(|&x| of(f64::from(x))).collect::<Vec<f64>>();
        let [exact, sizes] = [|x: f64| x, f64::abs].map(|of: fn(f64) -> f64| {
            let mut c = wide(&self.start(), of);
            textbook::matmul(layout, dims, &wide(&a, of), &wide(&b, of), f64::from(beta), &mut c);
            c
        });
        (narrow, exact, sizes)
    }

    /// Every kernel against the textbook: within the bound of a sum of k products, and for our own kernels the same bits (but for
    /// a processor's pairs of bf16, whose order of additions is its own).
    fn check(&self) {
        let expected =
            [Kernel::Model512(Precision::F32), Kernel::Model512(Precision::Bf16)].map(|it| self.expected(it));
        let Dims { n, k, .. } = self.dims;
        let bias = numbers(n, 3);
        for kernel in kernels() {
            let (narrow, exact, sizes) = &expected[usize::from(kernel.precision() == Precision::Bf16)];
            let (c, pre) = self.run(kernel);
            let sums = if self.ending == Ending::BiasGelu { &pre } else { &c };
            assert_eq!(sums.len(), narrow.len());
            for (i, &got) in sums.iter().enumerate() {
                let added = if self.ending == Ending::None { 0.0 } else { bias[i % n] };
                // k products and k additions, each rounded by at most ε/2 of Σ|a||b|, twice that for matrixmultiply's own order, and
                // one rounding of the bias.
                let bound = 2.0 * (k + 1) as f64 * f64::from(f32::EPSILON) * (sizes[i] + f64::from(added.abs()));
                let error = (f64::from(got) - (exact[i] + f64::from(added))).abs();
                assert!(error <= bound, "{self:?} {kernel:?} element {i}: error {error:e}, bound {bound:e}");
                if !matches!(kernel, Kernel::Of(Isa::Portable, _) | Kernel::Of(_, Precision::Bf16) | Kernel::ModelAmx) {
                    let expected = if self.ending == Ending::None { narrow[i] } else { narrow[i] + added };
                    assert_eq!(got.to_bits(), expected.to_bits(), "{self:?} {kernel:?} element {i}: {got} {expected}");
                }
            }
            let wide: Vec<f64> = pre.iter().map(|&x| f64::from(x)).collect();
            for (i, (&y, x)) in c.iter().zip(wide).enumerate() {
                let expected = gelu::textbook::forward(&[x])[0];
                // What vmath::gelu states, and what 1 + erf of the textbook loses in f64 far on the left.
                let bound = (8.0 + x * x / 2.0) * 2f64.powi(-24) * expected.abs() + x.abs() * f64::EPSILON;
                let error = (f64::from(y) - expected).abs();
                assert!(
                    error <= bound,
                    "{self:?} {kernel:?} gelu of element {i}, {x}: error {error:e}, bound {bound:e}"
                );
            }
        }
    }
}

#[test]
fn all_layouts_and_odd_sizes_give_the_textbooks_bits() {
    for (m, n, k) in SIZES.iter().flat_map(|&m| SIZES.iter().flat_map(move |&n| SIZES.map(|k| (m, n, k)))) {
        // The rest of the cube takes long and has no edge that these lack.
        if m * n * k > 60_000 {
            continue;
        }
        for layout in LAYOUTS {
            for beta in [0.0, 1.0] {
                Case { layout, dims: Dims { m, n, k }, beta, ending: Ending::None }.check();
            }
        }
    }
}

#[test]
fn several_blocks_of_k_rows_and_columns_give_the_textbooks_bits() {
    for (m, n, k) in [(100, 97, 257), (257, 100, 97), (31, 130, 1000), (211, 49, 513), (13, 400, 385), (200, 200, 31)] {
        for layout in LAYOUTS {
            for (beta, ending) in [(0.0, Ending::None), (1.0, Ending::Bias), (0.0, Ending::BiasGelu)] {
                Case { layout, dims: Dims { m, n, k }, beta, ending }.check();
            }
        }
    }
}

#[test]
fn epilogues_run_after_the_whole_sum_also_where_it_is_empty() {
    for (m, n, k) in
        [(1, 1, 1), (5, 17, 0), (7, 16, 3), (13, 33, 300), (12, 48, 64), (9, 100, 31), (0, 5, 3), (3, 0, 2)]
    {
        for layout in LAYOUTS {
            for (beta, ending) in [(0.0, Ending::Bias), (1.0, Ending::Bias), (0.0, Ending::BiasGelu)] {
                Case { layout, dims: Dims { m, n, k }, beta, ending }.check();
            }
        }
    }
}

#[test]
fn amx_has_the_bits_of_its_model() {
    if !Isa::Amx.is_available() {
        return;
    }
    for (m, n, k) in
        [(1, 1, 1), (16, 16, 32), (33, 47, 65), (100, 97, 257), (31, 130, 1000), (97, 33, 1537), (5, 17, 0)]
    {
        for layout in LAYOUTS {
            for (beta, ending) in [(0.0, Ending::None), (1.0, Ending::Bias), (0.0, Ending::BiasGelu)] {
                let case = Case { layout, dims: Dims { m, n, k }, beta, ending };
                let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                let [model, amx] = [Kernel::ModelAmx, Kernel::Of(Isa::Amx, Precision::Bf16)].map(|kernel| {
                    let (c, pre) = case.run(kernel);
                    // GELU has bits of its own on each set.
                    bits(if ending == Ending::BiasGelu { pre } else { c })
                });
                assert!(model == amx, "{case:?}");
            }
        }
    }
}

#[test]
fn one_two_and_five_threads_give_the_same_bits() {
    let dims = Dims { m: 203, n: 150, k: 301 };
    for (layout, kernel) in LAYOUTS.iter().flat_map(|&layout| kernels().into_iter().map(move |kernel| (layout, kernel)))
    {
        let case = Case { layout, dims, beta: 0.0, ending: Ending::BiasGelu };
        let [one, two, five] = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (c, pre) = pool.install(|| case.run(kernel));
            [c, pre].concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        });
        assert!(one == two && one == five, "{layout:?} {kernel:?}");
    }
}

#[test]
fn a_forced_set_runs_its_own_kernel_or_is_refused() {
    let dims = Dims { m: 1, n: 1, k: 1 };
    let run = |isa, precision| {
        let (mut c, mut scratch) = ([f32::NAN], [0.0; 512]);
        matmul_on(isa, precision, Layout::NN, dims, &[2.0], &[3.0], 0.0, &mut c, Epilogue::None, &mut scratch)
    };
    for (isa, precision, name) in [
        (Isa::Amx, Precision::F32, "avx512 8x48"),
        (Isa::Amx, Precision::Bf16, "amx 32x32"),
        (Isa::Avx512, Precision::F32, "avx512 8x48"),
        (Isa::Avx512, Precision::Bf16, "avx512bf16 8x48"),
        (Isa::Avx2, Precision::F32, "avx2 6x16"),
        (Isa::Avx2, Precision::Bf16, "none"),
        (Isa::Portable, Precision::F32, portable::NAME),
        (Isa::Portable, Precision::Bf16, "none"),
    ] {
        let what = format!("{} {}", isa.name(), precision.name());
        match std::panic::catch_unwind(|| run(isa, precision)) {
            Ok(ran) => assert!(ran == name && precision.is_available(isa), "{what} ran {ran}"),
            Err(_) => assert!(!precision.is_available(isa), "{what} is available and was refused"),
        }
    }
}

#[test]
fn wrong_lengths_are_refused_by_argument() {
    let run = |a: usize, b: usize, c: usize, beta: f32, scratch: usize| {
        let [a, b, mut c, mut scratch] = [a, b, c, scratch].map(|length| vec![0.0; length]);
        let dims = Dims { m: 2, n: 3, k: 4 };
        let call =
            || super::matmul(Precision::F32, Layout::NT, dims, &a, &b, beta, &mut c, Epilogue::None, &mut scratch);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        panic.err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    };
    let enough = scratch_len(Layout::NT, Dims { m: 2, n: 3, k: 4 });
    assert_eq!(run(8, 12, 6, 0.0, enough), None);
    for (arguments, expected) in [
        ((7, 12, 6, 0.0, enough), "matmul NT m=2 n=3 k=4: a has 7 elements, expected 8"),
        ((8, 11, 6, 0.0, enough), "matmul NT m=2 n=3 k=4: b has 11 elements, expected 12"),
        ((8, 12, 5, 0.0, enough), "matmul NT m=2 n=3 k=4: c has 5 elements, expected 6"),
        ((8, 12, 6, 0.5, enough), "matmul: beta is 0.5, expected 0 or 1"),
        ((8, 12, 6, 0.0, 1), "matmul: scratch has 1 elements, expected at least 272"),
    ] {
        let (a, b, c, beta, scratch) = arguments;
        assert_eq!(run(a, b, c, beta, scratch).as_deref(), Some(expected));
    }
}

/// A product of sizes that wraps around to the length of what is there would write outside.
#[test]
fn sizes_that_cannot_be_counted_are_refused() {
    let huge = 1 << (usize::BITS - 1);
    for dims in [Dims { m: huge, n: 2, k: 0 }, Dims { m: 2, n: huge, k: 0 }, Dims { m: 0, n: huge, k: 2 }] {
        let product = || {
            let scratch = &mut [0.0; 4096];
            matmul_on(Isa::Portable, Precision::F32, Layout::NN, dims, &[], &[], 0.0, &mut [], Epilogue::None, scratch)
        };
        let panic = std::panic::catch_unwind(product).unwrap_err();
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(said.contains("can be counted"), "{dims:?}: {said}");
    }
}
