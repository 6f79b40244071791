//! exp, tanh and the exact GELU as branch-free `f32` formulas that LLVM vectorises inside `dispatch!` bodies, and the fixed-order
//! lane sums. Must not know any kernel or any slice longer than what it is handed.
//!
//! Where the coefficients come from: each polynomial or quotient is a minimax fit in `f64` (Lawson's reweighted least squares
//! on 4000 Chebyshev points, weighted for relative error; quotients by iterating on the previous denominator), then the
//! coefficients are rounded to `f32` one by one and the rest refitted. The error of the fit and of the whole `f32` function
//! is stated at each; the tests sweep the whole range and hold the functions to it.

use crate::isa::Lane;

/// Number of partial sums that a lane sum keeps: one AVX-512 register, two AVX2 registers.
pub(crate) const LANES: usize = 16;

/// `Σ lanes` as a tree: halves are added until one is left. The same order for every instruction set.
#[inline(always)]
pub(crate) fn fold_sum(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ x`: element i goes to lane `i mod 16`, then [`fold_sum`].
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += block[lane];
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(tail) {
        *lane += value;
    }
    fold_sum(lanes)
}

/// `Σ x·y` in the order of [`sum`]. The slices have one length.
#[inline(always)]
pub(crate) fn dot<L: Lane>(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((xs, x_tail), (ys, y_tail)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            lanes[lane] = L::mul_add(x[lane], y[lane], lanes[lane]);
        }
    }
    for (lane, (&x, &y)) in lanes.iter_mut().zip(x_tail.iter().zip(y_tail)) {
        *lane = L::mul_add(x, y, *lane);
    }
    fold_sum(lanes)
}

/// The largest of `x`, -∞ for an empty slice. NaN entries are passed over: what is computed from them shows them anyway.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(tail) {
        *lane = if value > *lane { value } else { *lane };
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = if lanes[lane + width] > lanes[lane] { lanes[lane + width] } else { lanes[lane] };
        }
        width /= 2;
    }
    lanes[0]
}

/// `c[0] + c[1]·x + c[2]·x² + ..` by Horner's rule.
#[inline(always)]
fn polynomial<L: Lane, const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut value = c[N - 1];
    for i in (0..N - 1).rev() {
        value = L::mul_add(value, x, c[i]);
    }
    value
}

/// `2^k` for -126 <= k <= 127.
#[inline(always)]
fn power_of_two(k: i32) -> f32 {
    f32::from_bits((k.wrapping_add(127) as u32) << 23)
}

/// `e^x`, within 1.1 ulp where the result is a normal number and one step of the subnormal grid below; +∞ above 88.73, 0 below
/// -104, NaN for NaN. `x = n·ln 2 + r`, `e^r = 1 + r + r²·q(r)` with |r| <= 0.3466; the fit of q errs by 2^-28.2.
#[inline(always)]
pub(crate) fn exp<L: Lane>(x: f32) -> f32 {
    /// 1.5·2²³: adding it rounds to an integer, which then is the low part of the bits.
    const ROUND: f32 = 12_582_912.0;
    // Written so that NaN passes: a comparison with NaN is false.
    let x = if x > 89.0 { 89.0 } else { x };
    // Chosen in the end, and not computed on the way: numbers below the normal ones cost the processor tens of cycles a vector.
    let is_zero = x < -104.0;
    let x = if is_zero { 0.0 } else { x };
    let shifted = L::mul_add(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = L::mul_add(n, -LN_2_HIGH, x);
    let r = L::mul_add(n, -LN_2_LOW, r);
    let q = polynomial::<L, 5>(r, [4.999_999_4e-1, 1.666_652_1e-1, 4.166_825_5e-2, 8.368_662e-3, 1.382_145_3e-3]);
    let e = L::mul_add(r * r, q, r) + 1.0;
    // 2^n in two factors: n reaches -150 and 128, which one factor cannot express.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let power = e * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    if is_zero { 0.0 } else { power }
}

/// ln 2 cut to 10 bits, so that n times it is exact also without a fused multiply-add, and the rest of ln 2.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `ln x` of a positive normal number, within 1.5 ulp; +∞ for +∞, NaN for NaN. `x = 2^k·(1 + f)` with f from √½ - 1 to √2 - 1, and
/// `ln(1 + f) = f - f²/2 + f³·p(f)`; the fit of p errs by 2^-27.3 of the logarithm.
#[inline(always)]
pub(crate) fn ln<L: Lane>(x: f32) -> f32 {
    const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let k = (x.to_bits().wrapping_sub(SQRT_HALF) as i32) >> 23;
    let f = f32::from_bits(x.to_bits().wrapping_sub((k << 23) as u32)) - 1.0;
    let p = polynomial::<L, 8>(
        f,
        [
            3.333_333e-1,
            -2.500_082e-1,
            2.000_124_2e-1,
            -1.662_340_9e-1,
            1.420_158e-1,
            -1.315_961e-1,
            1.276_221_7e-1,
            -7.636_439e-2,
        ],
    );
    let k = k as f32;
    let low = L::mul_add(f * f, L::mul_add(f, p, -0.5), k * LN_2_LOW);
    let value = L::mul_add(k, LN_2_HIGH, f + low);
    if x < f32::INFINITY { value } else { x }
}

/// `tanh x` within 2 ulp; ±1 for ±∞, NaN for NaN. Below 0.625 an odd polynomial `x + x³·p(x²)` (fit 2^-27.7), above
/// `1 - 2/(e^(2|x|) + 1)`.
#[inline(always)]
pub(crate) fn tanh<L: Lane>(x: f32) -> f32 {
    let t = x.abs();
    let z = x * x;
    let p = polynomial::<L, 5>(z, [-3.333_328e-1, 1.333_140_6e-1, -5.373_651_5e-2, 2.062_816_7e-2, -5.692_296e-3]);
    let near = L::mul_add(t * z, p, t);
    let far = 1.0 - 2.0 / (exp::<L>(2.0 * t) + 1.0);
    (if t < 0.625 { near } else { far }).copysign(x)
}

/// The distribution function `Φ(x)` of the standard normal and `exp(-x²/2)`.
///
/// `Φ(-t) = exp(-t²/2)·R(t)` for t >= 0, where R is Mills' ratio over √2π: smooth, so a quotient of degrees 4 and 5 fits it over
/// [0, 14.5] with relative error 6.2e-9. Unlike `(1 + erf(x/√2))/2` this keeps the digits of the left tail, and the
/// exponential serves the derivative as well.
#[inline(always)]
fn normal<L: Lane>(x: f32) -> (f32, f32) {
    let t = x.abs();
    let t = if t > 14.5 { 14.5 } else { t };
    let e = exp::<L>(-0.5 * t * t);
    let p = polynomial::<L, 5>(t, [0.5, 4.375_949_4e-1, 1.826_901_1e-1, 4.044_180_2e-2, 4.085_6e-3]);
    let q = polynomial::<L, 6>(t, [1.0, 1.673_074_7, 1.200_296_8, 4.680_249e-1, 1.013_791_4e-1, 1.024_095_7e-2]);
    let tail = e * (p / q);
    (if x < 0.0 { tail } else { 1.0 - tail }, e)
}

/// GELU with the exact distribution function, `x·Φ(x)`, with a relative error of at most `(8 + x²/2)·2^-24`: the rounding of x²/2
/// is what costs the left tail its last digits. NaN for NaN and, as the formula has it, for -∞.
#[inline(always)]
pub(crate) fn gelu<L: Lane>(x: f32) -> f32 {
    x * normal::<L>(x).0
}

/// The derivative of [`gelu`], `Φ(x) + x·φ(x)`, within 4e-7 absolutely.
#[inline(always)]
pub(crate) fn gelu_derivative<L: Lane>(x: f32) -> f32 {
    const INVERSE_SQRT_2_PI: f32 = 0.398_942_3;
    let (cdf, e) = normal::<L>(x);
    L::mul_add(x * e, INVERSE_SQRT_2_PI, cdf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{self, dispatch};

    #[inline(always)]
    fn map_body<L: Lane>(function: usize, x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = match function {
                0 => exp::<L>(x),
                1 => tanh::<L>(x),
                2 => gelu::<L>(x),
                4 => ln::<L>(x),
                _ => gelu_derivative::<L>(x),
            };
        }
    }

    dispatch! { fn map(function: usize, x: &[f32], y: &mut [f32]) = map_body; }

    fn phi(x: f64) -> f64 {
        (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    /// `Φ(x)` by erfc, so that the left tail keeps its digits.
    fn cdf(x: f64) -> f64 {
        0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
    }

    /// Every 1009th bit pattern of both signs with |x| in `low..=high`.
    fn sweep(low: f32, high: f32) -> Vec<f32> {
        let bits = (low.to_bits()..=high.to_bits()).step_by(1009);
        bits.map(f32::from_bits).flat_map(|x| [x, -x]).chain([low, high, -low, -high]).collect()
    }

    /// Holds `function` to `|got - want| <= bound(x, want)` on every instruction set.
    fn check(name: &str, function: usize, xs: &[f32], want: fn(f64) -> f64, bound: impl Fn(f64, f64) -> f64) {
        for isa in isa::available() {
            let mut y = vec![0.0; xs.len()];
            map(isa, function, xs, &mut y);
            let mut worst = (0.0, 0.0);
            for (&x, &y) in xs.iter().zip(&y) {
                let want = want(f64::from(x));
                let ratio = (f64::from(y) - want).abs() / bound(f64::from(x), want);
                assert!(!ratio.is_nan(), "{name} on {}: {y} at {x}, expected {want}", isa.name());
                if ratio > worst.0 {
                    worst = (ratio, x);
                }
            }
            assert!(worst.0 <= 1.0, "{name} on {}: {} of its bound at {}", isa.name(), worst.0, worst.1);
        }
    }

    /// The distance of neighbouring `f32` around a positive value, subnormals included.
    fn ulp(value: f64) -> f64 {
        let exponent = value.abs().log2().floor().max(-126.0);
        (exponent - 23.0).exp2()
    }

    #[test]
    fn functions_stay_within_their_stated_bounds() {
        check("exp", 0, &sweep(0.0, 88.72), f64::exp, |_, want| 1.1 * ulp(want));
        let subnormal: Vec<f32> = sweep(87.0, 104.0).into_iter().filter(|&x| x < 0.0).collect();
        check("exp", 0, &subnormal, f64::exp, |_, want| 1.1 * ulp(want));
        let positive: Vec<f32> = sweep(f32::MIN_POSITIVE, f32::MAX).into_iter().filter(|&x| x > 0.0).collect();
        check("ln", 4, &positive, f64::ln, |_, want| 1.5 * ulp(want));
        check("tanh", 1, &sweep(0.0, 50.0), f64::tanh, |_, want| 2.0 * ulp(want));
        // Below the normal numbers one step of the grid times x.
        let relative = |x: f64, want: f64| (8.0 + 0.5 * x * x) * 2f64.powi(-24) * want.abs();
        let bound = |x: f64, want: f64| relative(x, want) + 30.0 * f64::from(f32::MIN_POSITIVE);
        check("gelu", 2, &sweep(0.0, 30.0), |x| x * cdf(x), bound);
        check("gelu_derivative", 3, &sweep(0.0, 30.0), |x| cdf(x) + x * phi(x), |_, _| 4e-7);
    }

    #[test]
    fn extremes_are_what_the_formulas_say() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let cases = [
            (0, inf, inf),
            (0, 88.73, inf),
            (0, f32::MAX, inf),
            (0, -inf, 0.0),
            (0, -105.0, 0.0),
            (0, f32::MIN, 0.0),
            (0, 0.0, 1.0),
            (0, nan, nan),
            (1, inf, 1.0),
            (1, -inf, -1.0),
            (1, f32::MAX, 1.0),
            (1, nan, nan),
            (2, inf, inf),
            (2, f32::MAX, f32::MAX),
            (2, f32::MIN, 0.0),
            (2, -inf, nan),
            (2, nan, nan),
            (3, f32::MAX, 1.0),
            (3, f32::MIN, 0.0),
            (3, 0.0, 0.5),
            (3, nan, nan),
            (4, inf, inf),
            (4, 1.0, 0.0),
            (4, nan, nan),
        ];
        for isa in isa::available() {
            for (function, x, want) in cases {
                // Eight equal inputs, so that the vector body runs.
                let mut y = [7.0; 8];
                map(isa, function, &[x; 8], &mut y);
                let same = y.iter().all(|&y| y == want || (y.is_nan() && want.is_nan()));
                assert!(same, "function {function} at {x} on {}: {y:?}, expected {want}", isa.name());
            }
        }
    }

    #[test]
    fn lane_sums_cover_every_length() {
        for n in 0..70 {
            let x: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            assert_eq!(sum(&x), (n * (n + 1) / 2) as f32);
            assert_eq!(dot::<isa::PortableLane>(&x, &x), (n * (n + 1) * (2 * n + 1) / 6) as f32);
            assert_eq!(max(&x), if n == 0 { f32::NEG_INFINITY } else { n as f32 });
        }
    }
}
