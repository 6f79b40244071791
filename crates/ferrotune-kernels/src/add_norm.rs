//! Residual + dropout + layer norm in one pass (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>). Must not know encoders.
//!
//! Shapes: N rows of width h. x, residual, y and their gradients `[N, h]`; gamma, bias `[h]`; mean, rstd `[N]`.
//! `z = residual + x·mask`, `y = (z − mean(z))·rstd·gamma + bias`, the bias being 0 where there is none, `rstd = 1/√(var(z) + eps)` with the biased variance.
//! The mask's element is the flat index in x, or, where x holds only some rows of a larger matrix, the flat index there: row r of x
//! is dropped out as row `mask_rows[r]`. z is computed again in backward instead of being stored.

use crate::isa::{self, Lane, dispatch};
use crate::mask::Mask;
use crate::par::{self, DisjointMut};
use crate::target::{Target, put};
use crate::vmath;

#[cfg(test)]
mod tests;
pub mod textbook;

/// Rows and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormDims {
    /// N.
    pub rows: usize,
    /// h.
    pub width: usize,
}

/// Where the gradients go.
#[derive(Debug, Default)]
pub struct AddNormGrads<'a> {
    /// By x, `[N, h]`.
    pub dx: Target<'a>,
    /// By the residual, `[N, h]`.
    pub dresidual: Target<'a>,
    /// By gamma, `[h]`.
    pub dgamma: Target<'a>,
    /// By the bias, `[h]`.
    pub dbias: Target<'a>,
}

/// Rows whose contributions to dgamma and dbias are added before they are added to those of other blocks. It fixes the order of the
/// sums, so it must not depend on threads.
const BLOCK_ROWS: usize = 32;
/// Elements of a row that a stack buffer holds while a mask is applied.
const PART: usize = 256;

/// `y = LN(residual + x·mask)`; saves mean and rstd. With `mask_rows`, row r of x takes row `mask_rows[r]` of the mask, so that a few
/// rows of a matrix give the bits that they have in the whole.
///
/// # Panics
/// If a slice has another length than its shape.
pub fn forward(
    y: &mut [f32],
    mean: &mut [f32],
    rstd: &mut [f32],
    x: &[f32],
    residual: Option<&[f32]>,
    gamma: &[f32],
    bias: Option<&[f32]>,
    eps: f32,
    mask: Mask,
    mask_rows: Option<&[u32]>,
    dims: NormDims,
) {
    let NormDims { rows, width } = dims;
    let all = [("y", y.len()), ("x", x.len()), ("residual", residual.map_or(y.len(), <[f32]>::len))];
    check("add_norm", &all, rows * width);
    check("add_norm", &[("mean", mean.len()), ("rstd", rstd.len())], rows);
    check("add_norm", &[("gamma", gamma.len()), ("bias", bias.map_or(width, <[f32]>::len))], width);
    check("add_norm", &[("mask_rows", mask_rows.map_or(rows, <[u32]>::len))], rows);
    let mask = RowMask { mask, rows: mask_rows, width };
    let isa = isa::current();
    let (y, mean, rstd) = (DisjointMut::new(y), DisjointMut::new(mean), DisjointMut::new(rstd));
    par::for_each_chunk(rows, par::rows_per_chunk(par::CHUNK, width), |_, rows| {
        let flat = rows.start * width..rows.end * width;
        // SAFETY: chunks of rows do not overlap, and each is visited once.
        let out = unsafe { (y.range(flat.clone()), mean.range(rows.clone()), rstd.range(rows.clone())) };
        forward_chunk(isa, out, &x[flat.clone()], residual.map(|r| &r[flat]), gamma, bias, eps, &mask, rows.start);
    });
}

/// Numbers of scratch that [`backward`] needs.
pub fn backward_scratch(dims: NormDims) -> usize {
    3 * dims.rows.div_ceil(BLOCK_ROWS) * dims.width
}

/// Gradients. `dz = rstd·(g − mean(g) − ẑ·mean(g·ẑ))` with `g = dy·gamma` and `ẑ = (z − mean)·rstd`; `dx = dz·mask`,
/// `dresidual = dz`, `dgamma = Σ_rows dy·ẑ`, `dbias = Σ_rows dy`.
///
/// # Panics
/// If a slice has another length than its shape, or `scratch` is shorter than [`backward_scratch`].
pub fn backward(
    grads: AddNormGrads<'_>,
    dy: &[f32],
    x: &[f32],
    residual: Option<&[f32]>,
    gamma: &[f32],
    mean: &[f32],
    rstd: &[f32],
    mask: Mask,
    mask_rows: Option<&[u32]>,
    dims: NormDims,
    scratch: &mut [f32],
) {
    let NormDims { rows, width } = dims;
    let AddNormGrads { dx, dresidual, dgamma, dbias } = grads;
    let what = "add_norm backward";
    let all = [("dy", dy.len()), ("x", x.len()), ("residual", residual.map_or(x.len(), <[f32]>::len))];
    check(what, &all, rows * width);
    check(what, &[("mean", mean.len()), ("rstd", rstd.len())], rows);
    check(what, &[("gamma", gamma.len())], width);
    check(what, &[("mask_rows", mask_rows.map_or(rows, <[u32]>::len))], rows);
    let mask = RowMask { mask, rows: mask_rows, width };
    for (name, target) in [("dx", &dx), ("dresidual", &dresidual)] {
        check(what, &[(name, target.as_ref().map_or(rows * width, |(d, _)| d.len()))], rows * width);
    }
    let blocks = rows.div_ceil(BLOCK_ROWS);
    let (sums_gamma, rest) = scratch.split_at_mut(blocks * width);
    let (sums_bias, rest) = rest.split_at_mut(blocks * width);
    let isa = isa::current();
    {
        let dx = dx.map(|(memory, beta)| (DisjointMut::new(memory), beta));
        let dresidual = dresidual.map(|(memory, beta)| (DisjointMut::new(memory), beta));
        let buffers = [&mut *sums_gamma, &mut *sums_bias, &mut rest[..blocks * width]].map(DisjointMut::new);
        par::for_each_chunk(rows, BLOCK_ROWS, |block, rows| {
            let flat = rows.start * width..rows.end * width;
            // SAFETY: blocks of rows do not overlap, and each is visited once.
            let dx = dx.as_ref().map(|(memory, beta)| (unsafe { memory.range(flat.clone()) }, *beta));
            // SAFETY: as above.
            let dresidual = dresidual.as_ref().map(|(memory, beta)| (unsafe { memory.range(flat.clone()) }, *beta));
            // SAFETY: each block has its own row in each of the buffers.
            let rows_of_block = buffers.each_ref().map(|b| unsafe { b.range(block * width..(block + 1) * width) });
            let saved = (&mean[rows.clone()], &rstd[rows.clone()]);
            let input = (&dy[flat.clone()], &x[flat.clone()], residual.map(|r| &r[flat.clone()]));
            backward_chunk(isa, (dx, dresidual), rows_of_block, input, gamma, saved, &mask, rows.start);
        });
    }
    for (target, sums) in [(dgamma, &*sums_gamma), (dbias, &*sums_bias)] {
        let Some((total, beta)) = target else { continue };
        check(what, &[("dgamma or dbias", total.len())], width);
        if beta == 0.0 {
            total.fill(0.0);
        }
        for block in sums.chunks_exact(width.max(1)) {
            total.iter_mut().zip(block).for_each(|(total, sum)| *total += sum);
        }
    }
}

/// A mask of rows of `width`, and which of its rows each row of x takes.
struct RowMask<'a> {
    mask: Mask,
    rows: Option<&'a [u32]>,
    width: usize,
}

impl RowMask<'_> {
    /// The mask's element at the start of row `row` of x.
    #[inline(always)]
    fn first_element(&self, row: usize) -> u64 {
        self.rows.map_or(row as u64, |rows| u64::from(rows[row])) * self.width as u64
    }
}

type Rows<'a> = (&'a mut [f32], &'a mut [f32], &'a mut [f32]);
type Input<'a> = (&'a [f32], &'a [f32], Option<&'a [f32]>);

dispatch! {
    fn forward_chunk(
        out: Rows<'_>,
        x: &[f32],
        residual: Option<&[f32]>,
        gamma: &[f32],
        bias: Option<&[f32]>,
        eps: f32,
        mask: &RowMask<'_>,
        first_row: usize,
    ) = forward_body;
    fn backward_chunk(
        targets: (Target<'_>, Target<'_>),
        rows_of_block: [&mut [f32]; 3],
        input: Input<'_>,
        gamma: &[f32],
        saved: (&[f32], &[f32]),
        mask: &RowMask<'_>,
        first_row: usize,
    ) = backward_body;
}

/// `z = residual + x·mask` for one row that starts at element `first`.
#[inline(always)]
fn joined(z: &mut [f32], x: &[f32], residual: Option<&[f32]>, mask: &Mask, first: u64) {
    if mask.is_none() {
        z.copy_from_slice(x);
    } else {
        mask.fill(z, first);
        z.iter_mut().zip(x).for_each(|(z, x)| *z *= x);
    }
    if let Some(residual) = residual {
        z.iter_mut().zip(residual).for_each(|(z, r)| *z += r);
    }
}

#[inline(always)]
fn forward_body<L: Lane>(
    (y, mean, rstd): Rows<'_>,
    x: &[f32],
    residual: Option<&[f32]>,
    gamma: &[f32],
    bias: Option<&[f32]>,
    eps: f32,
    mask: &RowMask<'_>,
    first_row: usize,
) {
    let width = gamma.len();
    for row in 0..mean.len() {
        let at = row * width..(row + 1) * width;
        let y = &mut y[at.clone()];
        joined(y, &x[at.clone()], residual.map(|r| &r[at.clone()]), &mask.mask, mask.first_element(first_row + row));
        let average = vmath::sum(y) / width as f32;
        y.iter_mut().for_each(|y| *y -= average);
        let variance = vmath::dot::<L>(y, y) / width as f32;
        let scale = 1.0 / (variance + eps).sqrt();
        match bias {
            Some(bias) => {
                for ((y, &gamma), &bias) in y.iter_mut().zip(gamma).zip(bias) {
                    *y = L::mul_add(*y * scale, gamma, bias);
                }
            }
            None => y.iter_mut().zip(gamma).for_each(|(y, &gamma)| *y = *y * scale * gamma),
        }
        (mean[row], rstd[row]) = (average, scale);
    }
}

#[inline(always)]
fn backward_body<L: Lane>(
    (mut dx, mut dresidual): (Target<'_>, Target<'_>),
    [sum_gamma, sum_bias, buffer]: [&mut [f32]; 3],
    (dy, x, residual): Input<'_>,
    gamma: &[f32],
    (mean, rstd): (&[f32], &[f32]),
    mask: &RowMask<'_>,
    first_row: usize,
) {
    let width = gamma.len();
    let mut keep = [1f32; PART];
    sum_gamma.fill(0.0);
    sum_bias.fill(0.0);
    for row in 0..mean.len() {
        let at = row * width..(row + 1) * width;
        let element = mask.first_element(first_row + row);
        let dy = &dy[at.clone()];
        joined(buffer, &x[at.clone()], residual.map(|r| &r[at.clone()]), &mask.mask, element);
        let (mean, rstd) = (mean[row], rstd[row]);
        for (((z, &dy), sum_gamma), sum_bias) in buffer.iter_mut().zip(dy).zip(&mut *sum_gamma).zip(&mut *sum_bias) {
            *z = (*z - mean) * rstd;
            *sum_gamma = L::mul_add(dy, *z, *sum_gamma);
            *sum_bias += dy;
        }
        let mean_g = vmath::dot::<L>(dy, gamma) / width as f32;
        let mean_gz = dot3::<L>(dy, gamma, buffer) / width as f32;
        for ((z, &dy), &gamma) in buffer.iter_mut().zip(dy).zip(gamma) {
            *z = rstd * L::mul_add(-*z, mean_gz, L::mul_add(dy, gamma, -mean_g));
        }
        if let Some((dresidual, beta)) = &mut dresidual {
            dresidual[at.clone()].iter_mut().zip(&*buffer).for_each(|(d, &dz)| put(d, *beta, dz));
        }
        if let Some((dx, beta)) = &mut dx {
            for (part, (dx, dz)) in dx[at].chunks_mut(PART).zip(buffer.chunks(PART)).enumerate() {
                let keep = &mut keep[..dx.len()];
                if !mask.mask.is_none() {
                    mask.mask.fill(keep, element + (part * PART) as u64);
                }
                dx.iter_mut().zip(dz).zip(&*keep).for_each(|((d, &dz), &keep)| put(d, *beta, dz * keep));
            }
        }
    }
}

/// `Σ a·b·c` in the order of `vmath::sum`.
#[inline(always)]
fn dot3<L: Lane>(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let mut lanes = [0.0; vmath::LANES];
    let (a, a_tail) = a.as_chunks::<{ vmath::LANES }>();
    let (b, b_tail) = b.as_chunks::<{ vmath::LANES }>();
    let (c, c_tail) = c.as_chunks::<{ vmath::LANES }>();
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for lane in 0..vmath::LANES {
            lanes[lane] = L::mul_add(a[lane] * b[lane], c[lane], lanes[lane]);
        }
    }
    for (lane, ((&a, &b), &c)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail).zip(c_tail)) {
        *lane = L::mul_add(a * b, c, *lane);
    }
    vmath::fold_sum(lanes)
}

fn check(what: &str, slices: &[(&str, usize)], expected: usize) {
    for (name, len) in slices {
        assert!(*len == expected, "{what}: {name}: expected {expected} elements, got {len}");
    }
}
