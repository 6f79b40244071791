//! The specification of attention, with full S×S matrices, ragged and padded. Must not share code with the tiles.

use super::{AttentionDims, Buckets, KEY_BITS};
use crate::mask::Mask;
use crate::real::Real;

/// Inputs of [`forward`] and [`backward`], with the shapes of the fast kernel.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a, T> {
    /// Queries.
    pub q: &'a [T],
    /// Keys.
    pub k: &'a [T],
    /// Values.
    pub v: &'a [T],
    /// First row of each sequence, and T.
    pub offsets: &'a [u32],
    /// Heads and their size.
    pub dims: AttentionDims,
    /// Factor of the scores.
    pub scale: T,
    /// Dropout of the probabilities.
    pub mask: Mask,
    /// Tokens that a query sees to either side, if not all.
    pub window: Option<u32>,
    /// What distances add to the scores, if anything.
    pub relative: Option<Relative<'a, T>>,
}

/// What distances add to the scores, with the shapes of the fast kernel's.
#[derive(Clone, Copy, Debug)]
pub struct Relative<'a, T> {
    /// By queries.
    pub by_query: &'a [T],
    /// By keys.
    pub by_key: Option<&'a [T]>,
    /// The bucket of each distance.
    pub buckets: Buckets<'a>,
}

impl<T> Relative<'_, T> {
    /// Where a head's numbers of a query and a key are, in `by_query` and in `by_key`.
    fn elements(&self, dims: AttentionDims, head: usize, i: usize, j: usize) -> [usize; 2] {
        let Buckets { of, count } = self.buckets;
        let bucket = of[of.len() / 2 + j - i] as usize;
        [i, j].map(|row| (row * dims.heads + head) * count + bucket)
    }
}

/// Gradients of attention, with the shapes of what they are taken by.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The names are those of the input.
pub struct Gradients<T> {
    pub q: Vec<T>,
    pub k: Vec<T>,
    pub v: Vec<T>,
    pub by_query: Vec<T>,
    pub by_key: Vec<T>,
}

/// Calls `visit(head, i, sequence's rows, p_i)` for every query row i, where `p_i` are the probabilities before dropout.
fn for_each_row<T: Real>(input: Input<'_, T>, mut visit: impl FnMut(usize, usize, std::ops::Range<usize>, &[T], T)) {
    let AttentionDims { heads, head_dim: d } = input.dims;
    let width = heads * d;
    for pair in input.offsets.windows(2) {
        let rows = pair[0] as usize..pair[1] as usize;
        for head in 0..heads {
            for i in rows.clone() {
                let score = |j: usize| {
                    if input.window.is_some_and(|window| i.abs_diff(j) > window as usize) {
                        return T::neg_infinity();
                    }
                    let terms = (head * d..(head + 1) * d).map(|c| input.q[i * width + c] * input.k[j * width + c]);
                    let mut sum = terms.sum::<T>();
                    if let Some(relative) = input.relative {
                        let [by_query, by_key] = relative.elements(input.dims, head, i, j);
                        sum +=
                            relative.by_query[by_query] + relative.by_key.map_or(T::zero(), |numbers| numbers[by_key]);
                    }
                    input.scale * sum
                };
                let scores: Vec<T> = rows.clone().map(score).collect();
                let max = scores.iter().fold(T::neg_infinity(), |max, &s| max.max(s));
                let sum: T = scores.iter().map(|&s| (s - max).exp()).sum();
                let p: Vec<T> = scores.iter().map(|&s| (s - max).exp() / sum).collect();
                visit(head, i, rows.clone(), &p, max + sum.ln());
            }
        }
    }
}

fn keep<T: Real>(input: Input<'_, T>, head: usize, i: usize, key: usize) -> T {
    let element = ((i * input.dims.heads + head) as u64) << KEY_BITS | key as u64;
    T::from_f64(f64::from(input.mask.keep_scale(element)))
}

/// `(ctx, lse)`.
pub fn forward<T: Real>(input: Input<'_, T>) -> (Vec<T>, Vec<T>) {
    let AttentionDims { heads, head_dim: d } = input.dims;
    let (width, tokens) = (heads * d, input.q.len() / (heads * d));
    let (mut ctx, mut lse) = (vec![T::zero(); input.q.len()], vec![T::zero(); heads * tokens]);
    for_each_row(input, |head, i, rows, p, row_lse| {
        lse[head * tokens + i] = row_lse;
        for (key, j) in rows.enumerate() {
            for c in head * d..(head + 1) * d {
                ctx[i * width + c] += keep(input, head, i, key) * p[key] * input.v[j * width + c];
            }
        }
    });
    (ctx, lse)
}

/// All gradients from dctx.
pub fn backward<T: Real>(dctx: &[T], input: Input<'_, T>) -> Gradients<T> {
    let AttentionDims { heads, head_dim: d } = input.dims;
    let width = heads * d;
    let zeros = |like: &[T]| vec![T::zero(); like.len()];
    let mut grads = Gradients {
        q: zeros(input.q),
        k: zeros(input.k),
        v: zeros(input.v),
        by_query: input.relative.map_or(Vec::new(), |relative| zeros(relative.by_query)),
        by_key: input.relative.and_then(|relative| relative.by_key).map_or(Vec::new(), zeros),
    };
    for_each_row(input, |head, i, rows, p, _| {
        let columns = head * d..(head + 1) * d;
        let dp = |(key, j): (usize, usize)| {
            let terms = columns.clone().map(|c| dctx[i * width + c] * input.v[j * width + c]);
            keep(input, head, i, key) * terms.sum::<T>()
        };
        let dp: Vec<T> = rows.clone().enumerate().map(dp).collect();
        let mean: T = p.iter().zip(&dp).map(|(&p, &dp)| p * dp).sum();
        for (key, j) in rows.enumerate() {
            let ds = input.scale * p[key] * (dp[key] - mean);
            for c in columns.clone() {
                grads.q[i * width + c] += ds * input.k[j * width + c];
                grads.k[j * width + c] += ds * input.q[i * width + c];
                grads.v[j * width + c] += keep(input, head, i, key) * p[key] * dctx[i * width + c];
            }
            if let Some(relative) = input.relative {
                let [by_query, by_key] = relative.elements(input.dims, head, i, j);
                grads.by_query[by_query] += ds;
                if relative.by_key.is_some() {
                    grads.by_key[by_key] += ds;
                }
            }
        }
    });
    grads
}

/// ctx of a padded batch as other frameworks compute it: q, k, v `[B, S, w]`, `lengths[b]` real tokens each, padded keys at score
/// -∞, no dropout. Rows of padded queries are computed too.
pub fn padded_forward<T: Real>(q: &[T], k: &[T], v: &[T], lengths: &[usize], dims: AttentionDims, scale: T) -> Vec<T> {
    let AttentionDims { heads, head_dim: d } = dims;
    let width = heads * d;
    let size = q.len() / (lengths.len() * width);
    let mut ctx = vec![T::zero(); q.len()];
    for (b, &length) in lengths.iter().enumerate() {
        let at = |i: usize, c: usize| (b * size + i) * width + c;
        for head in 0..heads {
            let columns = head * d..(head + 1) * d;
            for i in 0..size {
                let score = |j: usize| {
                    let s: T = columns.clone().map(|c| q[at(i, c)] * k[at(j, c)]).sum();
                    if j < length { scale * s } else { T::neg_infinity() }
                };
                let scores: Vec<T> = (0..size).map(score).collect();
                let p = crate::softmax::textbook::forward(&scores, size);
                for c in columns.clone() {
                    ctx[at(i, c)] = (0..size).map(|j| p[j] * v[at(j, c)]).sum();
                }
            }
        }
    }
    ctx
}
