//! Tests of ragged attention against its textbook, and of the textbook against differences and against padding.

use super::textbook::{self, Input};
use super::*;
use crate::mask::Mask;
use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

struct Case {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    dctx: Vec<f32>,
    offsets: Vec<u32>,
    dims: AttentionDims,
    scale: f32,
    mask: Mask,
}

impl Case {
    fn new(lengths: &[usize], heads: usize, head_dim: usize, mask: Mask) -> Case {
        let dims = AttentionDims { heads, head_dim };
        let mut offsets = vec![0];
        lengths.iter().for_each(|&length| offsets.push(offsets.last().unwrap() + length as u32));
        let n = lengths.iter().sum::<usize>() * dims.width();
        let scale = 1.0 / (head_dim as f32).sqrt();
        let [q, k, v, dctx] = [1, 2, 3, 4].map(|seed| values(seed, n));
        Case { q, k, v, dctx, offsets, dims, scale, mask }
    }

    fn tokens(&self) -> usize {
        *self.offsets.last().unwrap() as usize
    }

    /// ctx and behind it lse.
    fn forward(&self) -> Vec<f32> {
        let (mut ctx, mut lse) = (vec![f32::NAN; self.q.len()], vec![f32::NAN; self.dims.heads * self.tokens()]);
        let Case { q, k, v, offsets, dims, scale, mask, .. } = self;
        forward(&mut ctx, &mut lse, q, k, v, offsets, *dims, *scale, *mask);
        [ctx, lse].concat()
    }

    fn backward(&self, grads: AttentionGrads<'_>, saved: &[f32]) {
        let (ctx, lse) = saved.split_at(self.q.len());
        let mut scratch = vec![f32::NAN; backward_scratch(self.tokens(), self.dims)];
        let Case { q, k, v, dctx, offsets, dims, scale, mask } = self;
        backward(grads, dctx, ctx, lse, q, k, v, offsets, *dims, *scale, *mask, &mut scratch);
    }

    fn check(&self) {
        let saved = same_bits("attention", || self.forward());
        let [q, k, v, dctx] = [&self.q, &self.k, &self.v, &self.dctx].map(|x| widen(x));
        let (offsets, scale) = (self.offsets.as_slice(), f64::from(self.scale));
        let input = Input { q: &q, k: &k, v: &v, offsets, dims: self.dims, scale, mask: self.mask };
        let (ctx, lse) = textbook::forward(input);
        // A score is a sum of d products below 4, scaled: |s| <= 4·√d. Its rounding error, at most d·2^-24·|s|/2 and in practice √d of
        // that, is the relative error of p, and so of ctx; what follows is a few 2^-24. Kept scales multiply all of it.
        let d = self.dims.head_dim as f64;
        let largest = (0..100_000).map(|i| self.mask.keep_scale(i)).fold(0.0, f32::max);
        let tolerance = (d + 16.0) * 2f64.powi(-24) * 4.0 * f64::from(largest);
        assert_close("ctx and lse", &saved, &[ctx, lse].concat(), tolerance);
        let (dq, dk, dv) = textbook::backward(&dctx, input);
        let n = self.q.len();
        // g is a sum of d products below 4 too, ds up to twice that; sums over keys keep the relative error.
        let longest = self.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0) as f64;
        let tolerance = tolerance * 4.0 * d.sqrt() * longest.sqrt().max(1.0);
        let got = targets("dq", n, |dq| self.backward(AttentionGrads { dq, ..Default::default() }, &saved));
        assert_close("dq", &got, &dq, tolerance);
        let got = targets("dk", n, |dk| self.backward(AttentionGrads { dk, ..Default::default() }, &saved));
        assert_close("dk", &got, &dk, tolerance);
        let got = targets("dv", n, |dv| self.backward(AttentionGrads { dv, ..Default::default() }, &saved));
        assert_close("dv", &got, &dv, tolerance);
    }
}

#[test]
fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
    let dropout = Mask::new(0.1, 5, 6, 7, 8);
    for mask in [Mask::NONE, dropout] {
        Case::new(&[], 2, 8, mask).check();
        Case::new(&[0], 2, 8, mask).check();
        Case::new(&[1], 1, 1, mask).check();
        Case::new(&[3, 0, 5, 1], 2, 7, mask).check();
        Case::new(&[23, 17, 64, 65, 6], 3, 32, mask).check();
        Case::new(&[63, 128, 130], 2, 20, mask).check();
        Case::new(&[300], 1, 64, mask).check();
        Case::new(&[9, 70], 1, MAX_HEAD_DIM, mask).check();
    }
}

#[test]
fn all_three_gradients_at_once_are_the_single_ones() {
    let case = Case::new(&[70, 3], 2, 16, Mask::new(0.1, 5, 6, 7, 8));
    let saved = case.forward();
    let single = |pick: fn(&mut [f32]) -> AttentionGrads<'_>| {
        let mut memory = vec![f32::NAN; case.q.len()];
        case.backward(pick(&mut memory), &saved);
        memory
    };
    let n = case.q.len();
    let (mut dq, mut dk, mut dv) = (vec![f32::NAN; n], vec![f32::NAN; n], vec![f32::NAN; n]);
    let all = AttentionGrads { dq: Some((&mut dq, 0.0)), dk: Some((&mut dk, 0.0)), dv: Some((&mut dv, 0.0)) };
    case.backward(all, &saved);
    assert_eq!(dq, single(|m| AttentionGrads { dq: Some((m, 0.0)), ..Default::default() }));
    assert_eq!(dk, single(|m| AttentionGrads { dk: Some((m, 0.0)), ..Default::default() }));
    assert_eq!(dv, single(|m| AttentionGrads { dv: Some((m, 0.0)), ..Default::default() }));
}

#[test]
fn ragged_equals_padded_and_masked() {
    let lengths = [5, 1, 70, 23];
    let case = Case::new(&lengths, 2, 8, Mask::NONE);
    let (width, size) = (case.dims.width(), 70);
    // The padding holds large numbers, so that a leak shows.
    let pad = |x: &[f32]| {
        let mut padded = vec![100.0; lengths.len() * size * width];
        for (b, pair) in case.offsets.windows(2).enumerate() {
            let rows = widen(&x[pair[0] as usize * width..pair[1] as usize * width]);
            padded[b * size * width..][..rows.len()].copy_from_slice(&rows);
        }
        padded
    };
    let scale = f64::from(case.scale);
    let padded = textbook::padded_forward(&pad(&case.q), &pad(&case.k), &pad(&case.v), &lengths, case.dims, scale);
    let rows = lengths.iter().enumerate().flat_map(|(b, &n)| padded[b * size * width..][..n * width].to_vec());
    let want: Vec<f64> = rows.collect();
    assert_close("ctx", &case.forward()[..case.q.len()], &want, (8.0 + 16.0) * 4.0 * 2f64.powi(-24));
}

#[test]
fn textbook_backward_is_the_slope_of_the_textbook_forward() {
    let case = Case::new(&[3, 4], 2, 3, Mask::new(0.3, 5, 6, 7, 8));
    let [q, k, v, dctx] = [&case.q, &case.k, &case.v, &case.dctx].map(|x| widen(x));
    let (offsets, scale) = (case.offsets.as_slice(), f64::from(case.scale));
    let input = Input { q: &q, k: &k, v: &v, offsets, dims: case.dims, scale, mask: case.mask };
    let (dq, dk, dv) = textbook::backward(&dctx, input);
    let loss = |input: Input<'_, f64>| project(&textbook::forward(input).0, &dctx);
    assert_close_f64("dq", &dq, &gradient(&q, |q| loss(Input { q, ..input })), 1e-8);
    assert_close_f64("dk", &dk, &gradient(&k, |k| loss(Input { k, ..input })), 1e-8);
    assert_close_f64("dv", &dv, &gradient(&v, |v| loss(Input { v, ..input })), 1e-8);
}

#[test]
fn a_sequence_of_4096_tokens_attends_evenly_over_equal_keys() {
    // Equal keys: p = 1/S for every key, so ctx is the mean of v whatever the tiles, and lse is log S + s.
    let case = Case { k: vec![0.5; 4096 * 4], ..Case::new(&[4096], 1, 4, Mask::NONE) };
    let saved = case.forward();
    let mean: Vec<f64> = (0..4).map(|c| widen(&case.v).iter().skip(c).step_by(4).sum::<f64>() / 4096.0).collect();
    let want: Vec<f64> = mean.iter().copied().cycle().take(4096 * 4).collect();
    // 64 tiles, each rescaled and added: about 2·64 roundings of a running mean below 2.
    assert_close("ctx", &saved[..4096 * 4], &want, 256.0 * 2f64.powi(-24));
    let score = |i: usize| 0.5 * 0.5 * widen(&case.q[4 * i..4 * i + 4]).iter().sum::<f64>();
    let want: Vec<f64> = (0..4096).map(|i| score(i) + 4096f64.ln()).collect();
    assert_close("lse", &saved[4096 * 4..], &want, 256.0 * 2f64.powi(-24));
}

#[test]
fn large_scores_do_not_overflow_and_nan_shows() {
    let mut case = Case::new(&[20, 4], 1, 4, Mask::NONE);
    case.q.iter_mut().for_each(|q| *q *= 1e4);
    assert!(case.forward().iter().all(|x| x.is_finite()));
    // NaN in one query spoils its row and no other; in one key of sequence 1 that whole sequence and nothing of sequence 0.
    case.q[4 * 2] = f32::NAN;
    case.k[4 * 21] = f32::NAN;
    let ctx = &case.forward()[..24 * 4];
    for (i, row) in ctx.chunks(4).enumerate() {
        assert!(row.iter().all(|x| x.is_nan() == (i == 2 || i >= 20)), "row {i}: {row:?}");
    }
}

#[test]
#[should_panic(expected = "attention: k: expected 3 rows of 8, got 16 elements")]
fn a_short_input_panics() {
    let case = Case { k: vec![0.0; 16], ..Case::new(&[3], 2, 4, Mask::NONE) };
    case.forward();
}

#[test]
#[should_panic(expected = "attention: offsets: sequence 1 from 3 to 2")]
fn descending_offsets_panic() {
    let case = Case { offsets: vec![0, 3, 2], ..Case::new(&[3], 2, 4, Mask::NONE) };
    case.forward();
}
