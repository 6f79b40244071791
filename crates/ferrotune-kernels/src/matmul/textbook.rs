//! The matrix product as in a textbook: the specification and the oracle of the fast one. Must not be fast.

use super::{Dims, Layout};
use crate::real::Real;

/// `C = beta·C + op(A)·op(B)`: each element one chain of multiply-adds over ascending k that starts from `beta·C`. With `beta` 0 C is
/// not read.
///
/// For `T = f32` the fast kernels for AVX2 and AVX-512 give exactly these bits.
pub fn matmul<T: Real>(layout: Layout, dims: Dims, a: &[T], b: &[T], beta: T, c: &mut [T]) {
    let Dims { m, n, k } = dims;
    for i in 0..m {
        for j in 0..n {
            let mut sum = if beta == T::zero() { T::zero() } else { beta * c[i * n + j] };
            for p in 0..k {
                let (x, y) = match layout {
                    Layout::NN => (a[i * k + p], b[p * n + j]),
                    Layout::NT => (a[i * k + p], b[j * k + p]),
                    Layout::TN => (a[p * m + i], b[p * n + j]),
                };
                sum = x.mul_add(y, sum);
            }
            c[i * n + j] = sum;
        }
    }
}

/// Adds `bias[n]` to every row of `c[m, n]`.
pub fn add_bias<T: Real>(c: &mut [T], bias: &[T]) {
    for row in c.chunks_exact_mut(bias.len().max(1)) {
        for (value, &bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}
