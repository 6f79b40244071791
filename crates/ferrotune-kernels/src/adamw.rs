//! One AdamW step over flat memory. Must not know parameter groups, schedules or the step number.
//!
//! Shapes: p, m, v, g: `[n]`. With the clipped gradient `g' = grad_scale·g`, in PyTorch's order of operations
//! (`torch.optim.AdamW`, not fused; Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>):
//!
//! ```text
//! p = p·(1 - lr·weight_decay)
//! m = m + (1 - beta1)·(g' - m)
//! v = beta2·v + (1 - beta2)·g'²
//! p = p - lr/bias_correction1 · m / (√v/√bias_correction2 + eps)
//! ```
//!
//! One pass: four streams in, three out, 28 bytes a parameter, so memory bandwidth is the limit. [`idle`] makes up for steps in which
//! some rows of a table had no gradient: several steps while a row is in registers, with the bits of as many single ones.

use crate::isa::{self, Lane, dispatch};
use crate::par::{self, DisjointMut};
use crate::vmath::LANES;

/// The constants of a step, in `f64` because `1 - beta2` would lose four digits in `f32`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
    /// `1 - beta1^t` for the t-th step, t from 1.
    pub bias_correction1: f64,
    /// `1 - beta2^t`.
    pub bias_correction2: f64,
}

/// What the loop needs, each rounded to `f32` once.
#[derive(Clone, Copy)]
pub struct Factors {
    /// `1 - lr·weight_decay`.
    pub decay: f32,
    /// `1 - beta1`.
    pub one_minus_beta1: f32,
    /// `beta2`.
    pub beta2: f32,
    /// `1 - beta2`.
    pub one_minus_beta2: f32,
    /// `1/√bias_correction2`.
    pub inverse_sqrt_correction2: f32,
    /// `eps`.
    pub eps: f32,
    /// `lr/bias_correction1`.
    pub step_size: f32,
    /// The clip factor.
    pub grad_scale: f32,
}

impl Factors {
    /// The factors of a step.
    pub fn new(constants: &AdamW, grad_scale: f32) -> Self {
        Self {
            decay: (1.0 - constants.lr * constants.weight_decay) as f32,
            one_minus_beta1: (1.0 - constants.beta1) as f32,
            beta2: constants.beta2 as f32,
            one_minus_beta2: (1.0 - constants.beta2) as f32,
            inverse_sqrt_correction2: (1.0 / constants.bias_correction2.sqrt()) as f32,
            eps: constants.eps as f32,
            step_size: (constants.lr / constants.bias_correction1) as f32,
            grad_scale,
        }
    }
}

/// One step of p, m and v by the gradient g; `grad_scale` is the clip factor (1 for none).
///
/// # Panics
/// If the slices differ in length.
pub fn step(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], constants: &AdamW, grad_scale: f32) {
    let n = p.len();
    for (name, len) in [("m", m.len()), ("v", v.len()), ("g", g.len())] {
        assert_eq!(len, n, "adamw: {name}: expected {n} elements like p, got {len}");
    }
    let factors = Factors::new(constants, grad_scale);
    let (p, m, v) = (DisjointMut::new(p), DisjointMut::new(m), DisjointMut::new(v));
    let isa = isa::current();
    par::for_each_chunk(n, par::CHUNK, |_, range| {
        // SAFETY: chunks do not overlap, and each is visited once.
        let (p, m, v) = unsafe { (p.range(range.clone()), m.range(range.clone()), v.range(range.clone())) };
        step_chunk(isa, p, m, v, &g[range], factors);
    });
}

/// Several steps without a gradient for some rows of a table: p, m, v: `[rows, width]`. A pair `(row, from)` takes the steps
/// `constants[from..]`. The bits are those of [`step`] with g = 0 for each of these steps.
///
/// # Panics
/// If the slices differ in length or are no rows of `width`, a row is outside or comes twice, or there are fewer steps than it begins with.
pub fn idle(p: &mut [f32], m: &mut [f32], v: &mut [f32], width: usize, rows: &[(u32, u32)], constants: &[AdamW]) {
    let n = p.len();
    assert!(m.len() == n && v.len() == n, "adamw idle: p has {n} elements, m {} and v {}", m.len(), v.len());
    assert!(width > 0 && n.is_multiple_of(width), "adamw idle: {n} elements are no rows of {width}");
    let mut is_taken = vec![false; n / width];
    for &(row, from) in rows {
        assert!((row as usize) < n / width, "adamw idle: row {row} of {}", n / width);
        assert!(from as usize <= constants.len(), "adamw idle: row {row} from step {from} of {}", constants.len());
        assert!(!std::mem::replace(&mut is_taken[row as usize], true), "adamw idle: row {row} comes twice");
    }
    // A few bytes a step; the constants of a step are not worth a scratch argument.
    let factors: Vec<Factors> = constants.iter().map(|constants| Factors::new(constants, 1.0)).collect();
    let (p, m, v) = (DisjointMut::new(p), DisjointMut::new(m), DisjointMut::new(v));
    let isa = isa::current();
    par::for_each_chunk(rows.len(), IDLE_ROWS, |_, range| {
        for &(row, from) in &rows[range] {
            let place = row as usize * width..(row as usize + 1) * width;
            // SAFETY: the rows are distinct and inside, as asserted above, so their places do not overlap, and each is visited once.
            let (p, m, v) = unsafe { (p.range(place.clone()), m.range(place.clone()), v.range(place)) };
            idle_row(isa, p, m, v, &factors[from as usize..]);
        }
    });
}

/// Rows of one task of [`idle`].
const IDLE_ROWS: usize = 32;

dispatch! { fn idle_row(p: &mut [f32], m: &mut [f32], v: &mut [f32], factors: &[Factors]) = idle_body; }

#[inline(always)]
fn idle_body<L: Lane>(p: &mut [f32], m: &mut [f32], v: &mut [f32], factors: &[Factors]) {
    // Moments of +0 stay +0 and the update is -0, which changes nothing: only the decay is left.
    if m.iter().chain(v.iter()).all(|x| x.to_bits() == 0) {
        for p in p.chunks_mut(LANES) {
            for f in factors {
                p.iter_mut().for_each(|p| *p *= f.decay);
            }
        }
        return;
    }
    let zeros = [0.0; LANES];
    let parts = p.chunks_mut(LANES).zip(m.chunks_mut(LANES)).zip(v.chunks_mut(LANES));
    for ((p, m), v) in parts {
        if let (Ok(p), Ok(m), Ok(v)) = (
            <&mut [f32; LANES]>::try_from(&mut *p),
            <&mut [f32; LANES]>::try_from(&mut *m),
            <&mut [f32; LANES]>::try_from(&mut *v),
        ) {
            let mut lanes = (*p, *m, *v);
            for &f in factors {
                step_body::<L>(&mut lanes.0, &mut lanes.1, &mut lanes.2, &zeros, Factors { grad_scale: 1.0, ..f });
            }
            (*p, *m, *v) = lanes;
        } else {
            for &f in factors {
                step_body::<L>(p, m, v, &zeros[..p.len()], f);
            }
        }
    }
}

dispatch! { fn step_chunk(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], factors: Factors) = step_body; }

#[inline(always)]
fn step_body<L: Lane>(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], f: Factors) {
    for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
        let g = f.grad_scale * g;
        let mean = L::mul_add(f.one_minus_beta1, g - *m, *m);
        let square = L::mul_add(f.one_minus_beta2 * g, g, f.beta2 * *v);
        let denominator = L::mul_add(square.sqrt(), f.inverse_sqrt_correction2, f.eps);
        *p = L::mul_add(-f.step_size, mean / denominator, *p * f.decay);
        *m = mean;
        *v = square;
    }
}

/// The specification.
pub mod textbook {
    use super::AdamW;
    use crate::real::Real;

    /// See [`step`](super::step).
    pub fn step<T: Real>(p: &mut [T], m: &mut [T], v: &mut [T], g: &[T], constants: &AdamW, grad_scale: T) {
        let AdamW { lr, beta1, beta2, eps, weight_decay, bias_correction1, bias_correction2 } = *constants;
        let real = T::from_f64;
        for i in 0..p.len() {
            let g = grad_scale * g[i];
            p[i] *= real(1.0 - lr * weight_decay);
            m[i] += real(1.0 - beta1) * (g - m[i]);
            v[i] = real(beta2) * v[i] + real(1.0 - beta2) * g * g;
            p[i] -= real(lr / bias_correction1) * m[i] / (v[i].sqrt() / real(bias_correction2.sqrt()) + real(eps));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, same_bits, values, widen};

    fn constants(t: i32) -> AdamW {
        let (beta1, beta2) = (0.9, 0.999);
        AdamW {
            lr: 1e-2,
            beta1,
            beta2,
            eps: 1e-8,
            weight_decay: 0.1,
            bias_correction1: 1.0 - beta1.powi(t),
            bias_correction2: 1.0 - beta2.powi(t),
        }
    }

    #[test]
    fn five_steps_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for n in [0, 1, 37, 3 * par::CHUNK + 5] {
            let start = values(1, n);
            let (mut p64, mut m64, mut v64) = (widen(&start), vec![0.0; n], vec![0.0; n]);
            for t in 1..=5 {
                textbook::step(&mut p64, &mut m64, &mut v64, &widen(&values(t as u64 + 9, n)), &constants(t), 0.5);
            }
            let all = same_bits("adamw", || {
                let (mut p, mut m, mut v) = (start.clone(), vec![0.0; n], vec![0.0; n]);
                for t in 1..=5 {
                    step(&mut p, &mut m, &mut v, &values(t as u64 + 9, n), &constants(t), 0.5);
                }
                [p, m, v].concat()
            });
            // About six roundings of 2^-24 a step in each of p, m, v; an update is at most lr/√(1-beta2) of p's size.
            assert_close("adamw", &all, &[p64, m64, v64].concat(), 30.0 * 2f64.powi(-24));
        }
    }

    #[test]
    fn idle_steps_have_the_bits_of_steps_without_a_gradient() {
        for width in [1, 7, 16, 40, 384] {
            let rows = 70;
            let n = rows * width;
            // Row 5 has never had a gradient; others have moments, some of them tiny.
            let mut start = [values(1, n), values(2, n), values(3, n).iter().map(|x| x * x * 1e-3).collect()];
            start[1][5 * width..6 * width].fill(0.0);
            start[2][5 * width..6 * width].fill(0.0);
            start[1][6 * width..7 * width].fill(-1e-44);
            let constants: Vec<AdamW> = (1..=9).map(constants).collect();
            let late: Vec<(u32, u32)> =
                (0..rows as u32).filter(|row| row % 3 != 1).map(|row| (row, row % 10)).collect();
            let all = same_bits("adamw idle", || {
                let [mut p, mut m, mut v] = start.clone();
                idle(&mut p, &mut m, &mut v, width, &late, &constants);
                [p, m, v].concat()
            });
            let [mut p, mut m, mut v] = start.clone();
            for &(row, from) in &late {
                let at = row as usize * width..(row as usize + 1) * width;
                for constants in &constants[from as usize..] {
                    let (p, m, v) = (&mut p[at.clone()], &mut m[at.clone()], &mut v[at.clone()]);
                    step(p, m, v, &vec![0.0; width], constants, 0.3);
                }
            }
            let want = [p, m, v].concat();
            assert!(all.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "width {width}");
        }
    }

    #[test]
    fn rows_that_cannot_be_taken_are_refused() {
        for (rows, says) in [
            (&[(1, 0), (0, 1), (1, 0)][..], "row 1 comes twice"),
            (&[(0, 0), (2, 0)], "row 2 of 2"),
            (&[(0, 3)], "row 0 from step 3 of 2"),
        ] {
            let constants = [constants(1), constants(2)];
            let idle = || idle(&mut [0.0; 6], &mut [0.0; 6], &mut [0.0; 6], 3, rows, &constants);
            let panic = std::panic::catch_unwind(idle).unwrap_err();
            let said = panic.downcast_ref::<String>().unwrap();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn first_step_moves_by_the_learning_rate_against_the_sign() {
        // t = 1: m/bias1 = g, √(v/bias2) = |g|, so the update is lr·sign(g) whatever the size of g.
        let (mut p, mut m, mut v) = ([1.0; 3], [0.0; 3], [0.0; 3]);
        let constants = AdamW { weight_decay: 0.0, ..constants(1) };
        step(&mut p, &mut m, &mut v, &[5.0, -1e-3, 0.0], &constants, 1.0);
        assert_close("p", &p, &[0.99, 1.01, 1.0], 1e-6);
    }
}
