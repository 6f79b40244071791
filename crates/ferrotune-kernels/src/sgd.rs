//! One step of stochastic gradient descent with momentum. Must not know parameter groups or schedules.
//!
//! Shapes: p, velocity, g: `[n]`. As `torch.optim.SGD` (dampening 0, no Nesterov, velocity starting at 0), with the clipped gradient
//! `g' = grad_scale·g`:
//!
//! ```text
//! d = g' + weight_decay·p          // coupled decay, part of the gradient
//! velocity = momentum·velocity + d
//! p = p - lr·velocity
//! ```

use crate::isa::{self, Lane, dispatch};
use crate::par::{self, DisjointMut};

/// One step of p and velocity by the gradient g; `grad_scale` is the clip factor (1 for none).
///
/// # Panics
/// If the slices differ in length.
pub fn step(
    p: &mut [f32],
    velocity: &mut [f32],
    g: &[f32],
    lr: f32,
    momentum: f32,
    weight_decay: f32,
    grad_scale: f32,
) {
    let n = p.len();
    for (name, len) in [("velocity", velocity.len()), ("g", g.len())] {
        assert_eq!(len, n, "sgd: {name}: expected {n} elements like p, got {len}");
    }
    let (p, velocity) = (DisjointMut::new(p), DisjointMut::new(velocity));
    let isa = isa::current();
    par::for_each_chunk(n, par::CHUNK, |_, range| {
        // SAFETY: chunks do not overlap, and each is visited once.
        let (p, velocity) = unsafe { (p.range(range.clone()), velocity.range(range.clone())) };
        step_chunk(isa, p, velocity, &g[range], lr, momentum, weight_decay, grad_scale);
    });
}

dispatch! {
    fn step_chunk(
        p: &mut [f32], velocity: &mut [f32], g: &[f32], lr: f32, momentum: f32, weight_decay: f32, grad_scale: f32,
    ) = step_body;
}

#[inline(always)]
fn step_body<L: Lane>(
    p: &mut [f32],
    velocity: &mut [f32],
    g: &[f32],
    lr: f32,
    momentum: f32,
    weight_decay: f32,
    grad_scale: f32,
) {
    for ((p, velocity), &g) in p.iter_mut().zip(velocity).zip(g) {
        let d = L::mul_add(weight_decay, *p, grad_scale * g);
        *velocity = L::mul_add(momentum, *velocity, d);
        *p = L::mul_add(-lr, *velocity, *p);
    }
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`step`](super::step).
    pub fn step<T: Real>(p: &mut [T], velocity: &mut [T], g: &[T], lr: T, momentum: T, weight_decay: T, grad_scale: T) {
        for i in 0..p.len() {
            let d = grad_scale * g[i] + weight_decay * p[i];
            velocity[i] = momentum * velocity[i] + d;
            p[i] -= lr * velocity[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, same_bits, values, widen};

    #[test]
    fn five_steps_follow_the_textbook_with_the_same_bits_on_any_threads() {
        for n in [0, 1, 37, 3 * par::CHUNK + 5] {
            let start = values(1, n);
            let (mut p64, mut velocity64) = (widen(&start), vec![0.0; n]);
            let (lr, momentum, decay, scale) = (0.0625, 0.875, 0.25, 0.5);
            for t in 0..5 {
                let g = widen(&values(t + 9, n));
                textbook::step(&mut p64, &mut velocity64, &g, lr, momentum, decay, scale);
            }
            let all = same_bits("sgd", || {
                let (mut p, mut velocity) = (start.clone(), vec![0.0; n]);
                for t in 0..5 {
                    let (lr, momentum, decay) = (lr as f32, momentum as f32, decay as f32);
                    step(&mut p, &mut velocity, &values(t + 9, n), lr, momentum, decay, scale as f32);
                }
                [p, velocity].concat()
            });
            // Four roundings of 2^-24 of numbers below 8 in each of five steps.
            assert_close("sgd", &all, &[p64, velocity64].concat(), 5.0 * 4.0 * 8.0 * 2f64.powi(-24));
        }
    }
}
