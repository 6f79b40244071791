//! What the tests of every kernel share: reproducible inputs, comparison with the `f64` textbook, the promise of `Target`, the
//! promise of equal bits with any number of threads, and finite differences. Must not know any kernel.

use crate::target::Target;

/// Runs in a pool of its own.
pub(crate) fn on_threads<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// `n` numbers in (-2, 2), the same for the same seed.
pub(crate) fn values(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    };
    // The first outputs of xorshift still look like the seed.
    (0..8).for_each(|_| {
        next();
    });
    (0..n).map(|_| next()).collect()
}

/// The same numbers as `f64`.
pub(crate) fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Asserts `|got - want| <= tolerance · (1 + |want|)` for every element.
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_close_f64(what, &widen(got), want, tolerance);
}

/// As `assert_close`, for two `f64` results.
pub(crate) fn assert_close_f64(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs() / (1.0 + want.abs());
        assert!(error <= tolerance, "{what}[{i}]: {got}, expected {want}: error {error:e} > {tolerance:e}");
    }
}

/// Runs `write` in pools of 1, 2 and 5 threads, asserts equal bits, returns the result.
pub(crate) fn same_bits(what: &str, write: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
    let one = on_threads(1, &write);
    for threads in [2, 5] {
        assert!(bits(&one) == bits(&on_threads(threads, &write)), "{what}: {threads} threads give other bits than one");
    }
    one
}

/// Holds a backward to the contract of its only or of one of its targets of `n` elements: `None` is accepted, beta 0 over NaN, beta 1
/// adds, equal bits with any number of threads. Returns what beta 0 wrote.
pub(crate) fn targets(what: &str, n: usize, write: impl Fn(Target<'_>) + Sync) -> Vec<f32> {
    write(None);
    let run = |start: f32, beta: f32| {
        same_bits(what, || {
            let mut memory = vec![start; n];
            write(Some((&mut memory, beta)));
            memory
        })
    };
    let overwritten = run(f32::NAN, 0.0);
    let added = run(1.0, 1.0);
    let want: Vec<f64> = overwritten.iter().map(|&v| f64::from(v) + 1.0).collect();
    // One rounding of the sum; kernels that add several terms to the memory one after the other round each time.
    assert_close(&format!("{what} with beta 1"), &added, &want, 2e-6);
    overwritten
}

/// The gradient of `f` at `x` by central differences of step 1e-5: error about 1e-10 for smooth functions of order one in `f64`.
pub(crate) fn gradient(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    let (n, mut x) = (x.len(), x.to_vec());
    let mut slope = |i: usize| {
        let middle = x[i];
        x[i] = middle + step;
        let above = f(&x);
        x[i] = middle - step;
        let below = f(&x);
        x[i] = middle;
        (above - below) / (2.0 * step)
    };
    (0..n).map(&mut slope).collect()
}

/// `Σ x·y`, the random projection that turns a tensor into the scalar that `gradient` needs.
pub(crate) fn project(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
