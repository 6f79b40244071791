//! The specification of residual + dropout + layer norm, in any precision. It must not know speed.

use super::NormDims;
use crate::mask::Mask;
use crate::real::Real;

/// `z = residual + x·mask`.
pub fn joined<T: Real>(x: &[T], residual: Option<&[T]>, mask: Mask) -> Vec<T> {
    let dropped = crate::dropout::textbook::apply(x, mask);
    match residual {
        Some(residual) => dropped.iter().zip(residual).map(|(&x, &r)| x + r).collect(),
        None => dropped,
    }
}

/// Mean and 1/√(variance + eps) of a row.
fn statistics<T: Real>(row: &[T], eps: T) -> (T, T) {
    let n = T::from_f64(row.len() as f64);
    let mean = row.iter().fold(T::zero(), |sum, &z| sum + z) / n;
    let variance = row.iter().fold(T::zero(), |sum, &z| sum + (z - mean) * (z - mean)) / n;
    (mean, T::one() / (variance + eps).sqrt())
}

/// `y = (z − mean)·rstd·gamma + bias` for each row of z.
pub fn forward<T: Real>(z: &[T], gamma: &[T], bias: &[T], eps: T, dims: NormDims) -> Vec<T> {
    let row = |row: &[T]| {
        let (mean, rstd) = statistics(row, eps);
        let one = |((&z, &gamma), &bias): ((&T, &T), &T)| (z - mean) * rstd * gamma + bias;
        row.iter().zip(gamma).zip(bias).map(one).collect::<Vec<_>>()
    };
    z.chunks(dims.width.max(1)).flat_map(row).collect()
}

/// Gradients by z, gamma and bias.
pub fn backward<T: Real>(dy: &[T], z: &[T], gamma: &[T], eps: T, dims: NormDims) -> (Vec<T>, Vec<T>, Vec<T>) {
    let width = dims.width;
    let n = T::from_f64(width as f64);
    let (mut dz, mut dgamma, mut dbias) = (Vec::new(), vec![T::zero(); width], vec![T::zero(); width]);
    for (dy, z) in dy.chunks(width.max(1)).zip(z.chunks(width.max(1))) {
        let (mean, rstd) = statistics(z, eps);
        let hat: Vec<T> = z.iter().map(|&z| (z - mean) * rstd).collect();
        let (mut mean_g, mut mean_gz) = (T::zero(), T::zero());
        for j in 0..width {
            let g = dy[j] * gamma[j];
            mean_g += g / n;
            mean_gz += g * hat[j] / n;
            dgamma[j] += dy[j] * hat[j];
            dbias[j] += dy[j];
        }
        dz.extend((0..width).map(|j| rstd * (dy[j] * gamma[j] - mean_g - hat[j] * mean_gz)));
    }
    (dz, dgamma, dbias)
}
