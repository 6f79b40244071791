//! Arithmetic on flat memory: fill, axpy, scale, add, mul, the elastic-net penalty, and the pull towards a starting point. Must not know what the numbers are.
//!
//! Shapes: every slice of a call: `[n]`. The penalty is `l1·Σ|p| + l2/2·Σp²` (Zou and Hastie 2005) with gradient `l1·sign(p) + l2·p`, where
//! `sign(0) = 0`. The pull is `k/2·Σ(p - start)²` with gradient `k·(p - start)`.

// `dispatch!` hands every body a Lane, also one that has no multiply-add.
#![allow(clippy::extra_unused_type_parameters)]

use crate::isa::{self, Lane, dispatch};
use crate::par;
use crate::vmath::LANES;

/// `y = value`.
pub fn fill(y: &mut [f32], value: f32) {
    par::for_each_chunk_mut(y, 8 * par::CHUNK, |_, y| y.fill(value));
}

/// `y = y + a·x`.
///
/// # Panics
/// If the slices differ in length.
pub fn axpy(y: &mut [f32], a: f32, x: &[f32]) {
    same_length("axpy", y, "x", x);
    let isa = isa::current();
    par::for_each_chunk_mut(y, par::CHUNK, |start, y| axpy_chunk(isa, y, a, &x[start..][..y.len()]));
}

/// `y = a·y`.
pub fn scale(y: &mut [f32], a: f32) {
    let isa = isa::current();
    par::for_each_chunk_mut(y, par::CHUNK, |_, y| scale_chunk(isa, y, a));
}

/// `y = a + b`.
///
/// # Panics
/// If the slices differ in length.
pub fn add(y: &mut [f32], a: &[f32], b: &[f32]) {
    same_length("add", y, "a", a);
    same_length("add", y, "b", b);
    let isa = isa::current();
    par::for_each_chunk_mut(y, par::CHUNK, |start, y| {
        let n = y.len();
        add_chunk(isa, y, &a[start..][..n], &b[start..][..n]);
    });
}

/// `y = a·b`, element by element.
///
/// # Panics
/// If the slices differ in length.
pub fn mul(y: &mut [f32], a: &[f32], b: &[f32]) {
    same_length("mul", y, "a", a);
    same_length("mul", y, "b", b);
    let isa = isa::current();
    par::for_each_chunk_mut(y, par::CHUNK, |start, y| {
        let n = y.len();
        mul_chunk(isa, y, &a[start..][..n], &b[start..][..n]);
    });
}

/// `g = g + l1·sign(p) + l2·p`, the gradient of [`penalty_value`].
///
/// # Panics
/// If the slices differ in length.
pub fn penalty_add(g: &mut [f32], p: &[f32], l1: f32, l2: f32) {
    same_length("penalty_add", g, "p", p);
    let isa = isa::current();
    par::for_each_chunk_mut(g, par::CHUNK, |start, g| penalty_chunk(isa, g, &p[start..][..g.len()], l1, l2));
}

/// `l1·Σ|p| + l2/2·Σp²`, summed in `f64`.
pub fn penalty_value(p: &[f32], l1: f32, l2: f32) -> f64 {
    let isa = isa::current();
    par::sum_chunks(p.len(), par::CHUNK, |_, range| penalty_value_chunk(isa, &p[range], l1, l2))
}

/// `g = g + k·(p - start)`, the gradient of [`anchor_value`].
///
/// # Panics
/// If the slices differ in length.
pub fn anchor_add(g: &mut [f32], p: &[f32], start: &[f32], k: f32) {
    same_length("anchor_add", g, "p", p);
    same_length("anchor_add", g, "start", start);
    let isa = isa::current();
    par::for_each_chunk_mut(g, par::CHUNK, |at, g| {
        let n = g.len();
        anchor_chunk(isa, g, &p[at..][..n], &start[at..][..n], k);
    });
}

/// `k/2·Σ(p - start)²`, summed in `f64`.
///
/// # Panics
/// If the slices differ in length.
pub fn anchor_value(p: &[f32], start: &[f32], k: f32) -> f64 {
    same_length("anchor_value", p, "start", start);
    let isa = isa::current();
    let sum =
        par::sum_chunks(p.len(), par::CHUNK, |_, range| anchor_value_chunk(isa, &p[range.clone()], &start[range]));
    0.5 * f64::from(k) * sum
}

fn same_length(op: &str, y: &[f32], name: &str, x: &[f32]) {
    assert_eq!(x.len(), y.len(), "{op}: {name}: expected {} elements like the output, got {}", y.len(), x.len());
}

dispatch! {
    fn axpy_chunk(y: &mut [f32], a: f32, x: &[f32]) = axpy_body;
    fn scale_chunk(y: &mut [f32], a: f32) = scale_body;
    fn add_chunk(y: &mut [f32], a: &[f32], b: &[f32]) = add_body;
    fn mul_chunk(y: &mut [f32], a: &[f32], b: &[f32]) = mul_body;
    fn penalty_chunk(g: &mut [f32], p: &[f32], l1: f32, l2: f32) = penalty_body;
    fn penalty_value_chunk(p: &[f32], l1: f32, l2: f32) -> f64 = penalty_value_body;
    fn anchor_chunk(g: &mut [f32], p: &[f32], start: &[f32], k: f32) = anchor_body;
    fn anchor_value_chunk(p: &[f32], start: &[f32]) -> f64 = anchor_value_body;
}

#[inline(always)]
fn axpy_body<L: Lane>(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = L::mul_add(a, x, *y);
    }
}

#[inline(always)]
fn scale_body<L: Lane>(y: &mut [f32], a: f32) {
    for y in y {
        *y *= a;
    }
}

#[inline(always)]
fn add_body<L: Lane>(y: &mut [f32], a: &[f32], b: &[f32]) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        *y = a + b;
    }
}

#[inline(always)]
fn mul_body<L: Lane>(y: &mut [f32], a: &[f32], b: &[f32]) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        *y = a * b;
    }
}

#[inline(always)]
fn penalty_body<L: Lane>(g: &mut [f32], p: &[f32], l1: f32, l2: f32) {
    for (g, &p) in g.iter_mut().zip(p) {
        let sign = f32::from(u8::from(p > 0.0)) - f32::from(u8::from(p < 0.0));
        *g += L::mul_add(l1, sign, l2 * p);
    }
}

#[inline(always)]
fn penalty_value_body<L: Lane>(p: &[f32], l1: f32, l2: f32) -> f64 {
    let (l1, half_l2) = (f64::from(l1), 0.5 * f64::from(l2));
    let term = |p: f32| (l1 + half_l2 * f64::from(p.abs())) * f64::from(p.abs());
    let mut lanes = [0.0f64; LANES];
    let (blocks, tail) = p.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += term(block[lane]);
        }
    }
    for (lane, &p) in lanes.iter_mut().zip(tail) {
        *lane += term(p);
    }
    lanes.iter().sum()
}

#[inline(always)]
fn anchor_body<L: Lane>(g: &mut [f32], p: &[f32], start: &[f32], k: f32) {
    for ((g, &p), &start) in g.iter_mut().zip(p).zip(start) {
        *g = L::mul_add(k, p - start, *g);
    }
}

#[inline(always)]
fn anchor_value_body<L: Lane>(p: &[f32], start: &[f32]) -> f64 {
    let term = |p: f32, start: f32| (f64::from(p) - f64::from(start)) * (f64::from(p) - f64::from(start));
    let mut lanes = [0.0f64; LANES];
    let ((p, p_tail), (start, start_tail)) = (p.as_chunks::<LANES>(), start.as_chunks::<LANES>());
    for (p, start) in p.iter().zip(start) {
        for lane in 0..LANES {
            lanes[lane] += term(p[lane], start[lane]);
        }
    }
    for ((lane, &p), &start) in lanes.iter_mut().zip(p_tail).zip(start_tail) {
        *lane += term(p, start);
    }
    lanes.iter().sum()
}

/// The specification.
pub mod textbook {
    use crate::real::Real;

    /// See [`axpy`](super::axpy).
    pub fn axpy<T: Real>(y: &[T], a: T, x: &[T]) -> Vec<T> {
        y.iter().zip(x).map(|(&y, &x)| y + a * x).collect()
    }

    /// See [`scale`](super::scale).
    pub fn scale<T: Real>(y: &[T], a: T) -> Vec<T> {
        y.iter().map(|&y| a * y).collect()
    }

    /// See [`add`](super::add).
    pub fn add<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
        a.iter().zip(b).map(|(&a, &b)| a + b).collect()
    }

    /// See [`mul`](super::mul).
    pub fn mul<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
        a.iter().zip(b).map(|(&a, &b)| a * b).collect()
    }

    /// See [`penalty_add`](super::penalty_add).
    pub fn penalty_add<T: Real>(g: &[T], p: &[T], l1: T, l2: T) -> Vec<T> {
        let sign = |p: T| if p == T::zero() { T::zero() } else { p.signum() };
        g.iter().zip(p).map(|(&g, &p)| g + l1 * sign(p) + l2 * p).collect()
    }

    /// See [`penalty_value`](super::penalty_value).
    pub fn penalty_value<T: Real>(p: &[T], l1: T, l2: T) -> T {
        p.iter().map(|&p| l1 * p.abs() + l2 * T::from_f64(0.5) * p * p).sum()
    }

    /// See [`anchor_add`](super::anchor_add).
    pub fn anchor_add<T: Real>(g: &[T], p: &[T], start: &[T], k: T) -> Vec<T> {
        g.iter().zip(p).zip(start).map(|((&g, &p), &start)| g + k * (p - start)).collect()
    }

    /// See [`anchor_value`](super::anchor_value).
    pub fn anchor_value<T: Real>(p: &[T], start: &[T], k: T) -> T {
        k * T::from_f64(0.5) * p.iter().zip(start).map(|(&p, &start)| (p - start) * (p - start)).sum::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::check::{assert_close, assert_close_f64, gradient, on_threads, same_bits, values, widen};

    #[test]
    fn every_operation_follows_the_textbook_with_the_same_bits_on_any_threads() {
        for n in [0, 1, 17, 2 * par::CHUNK + 5] {
            let (a, b) = (values(1, n), values(2, n));
            let (wide_a, wide_b) = (widen(&a), widen(&b));
            let check = |what: &str, want: &[f64], run: &(dyn Fn(&mut [f32]) + Sync)| {
                let got = same_bits(what, || {
                    let mut y = a.clone();
                    run(&mut y);
                    y
                });
                // At most three roundings of numbers below 4.
                assert_close(what, &got, want, 12.0 * 2f64.powi(-24));
            };
            check("fill", &vec![0.5; n], &|y| fill(y, 0.5));
            check("axpy", &textbook::axpy(&wide_a, 0.5, &wide_b), &|y| axpy(y, 0.5, &b));
            check("scale", &textbook::scale(&wide_a, 0.5), &|y| scale(y, 0.5));
            check("add", &textbook::add(&wide_a, &wide_b), &|y| add(y, &a, &b));
            check("mul", &textbook::mul(&wide_a, &wide_b), &|y| mul(y, &a, &b));
            let penalized = textbook::penalty_add(&wide_a, &wide_b, 0.5, 0.25);
            check("penalty_add", &penalized, &|y| penalty_add(y, &b, 0.5, 0.25));
            let value = on_threads(1, || penalty_value(&a, 0.5, 0.25));
            let want = textbook::penalty_value(&wide_a, 0.5, 0.25);
            assert!((value - want).abs() <= 1e-12 * want, "{value} {want}");
            assert_eq!(value.to_bits(), on_threads(5, || penalty_value(&a, 0.5, 0.25)).to_bits());
            let c = values(3, n);
            let anchored = textbook::anchor_add(&wide_a, &wide_b, &widen(&c), 0.25);
            check("anchor_add", &anchored, &|y| anchor_add(y, &b, &c, 0.25));
            let value = on_threads(1, || anchor_value(&a, &b, 0.25));
            let want = textbook::anchor_value(&wide_a, &wide_b, 0.25);
            assert!((value - want).abs() <= 1e-12 * want, "{value} {want}");
            assert_eq!(value.to_bits(), on_threads(5, || anchor_value(&a, &b, 0.25)).to_bits());
        }
    }

    #[test]
    fn penalty_gradient_is_the_slope_of_its_value_and_zero_at_zero() {
        let p = widen(&values(3, 30));
        let want = gradient(&p, |p| textbook::penalty_value(p, 0.5, 0.25));
        assert_close_f64("penalty", &textbook::penalty_add(&vec![0.0; 30], &p, 0.5, 0.25), &want, 1e-8);
        let start = widen(&values(4, 30));
        let want = gradient(&p, |p| textbook::anchor_value(p, &start, 0.25));
        assert_close_f64("anchor", &textbook::anchor_add(&vec![0.0; 30], &p, &start, 0.25), &want, 1e-8);
        let mut g = [3.0; 2];
        penalty_add(&mut g, &[0.0, -0.0], 0.5, 0.25);
        assert_eq!(g, [3.0; 2]);
    }
}
