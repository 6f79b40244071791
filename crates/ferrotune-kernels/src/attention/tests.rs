//! Tests of ragged attention against its textbook, and of the textbook against differences and against padding.

use super::textbook::{self, Input};
use super::*;
use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};
use crate::target::Target;

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

struct Case {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    dctx: Vec<f32>,
    offsets: Vec<u32>,
    dims: AttentionDims,
    scale: f32,
    mask: Mask,
    window: Option<u32>,
    distances: Option<Distances>,
}

/// What distances add to the scores.
#[derive(Clone)]
struct Distances {
    by_query: Vec<f32>,
    by_key: Option<Vec<f32>>,
    of: Vec<u32>,
    count: usize,
}

impl Case {
    fn new(lengths: &[usize], heads: usize, head_dim: usize, mask: Mask) -> Case {
        let dims = AttentionDims { heads, head_dim };
        let mut offsets = vec![0];
        lengths.iter().for_each(|&length| offsets.push(offsets.last().unwrap() + length as u32));
        let n = lengths.iter().sum::<usize>() * dims.width();
        let scale = 1.0 / (head_dim as f32).sqrt();
        let [q, k, v, dctx] = [1, 2, 3, 4].map(|seed| values(seed, n));
        Case { q, k, v, dctx, offsets, dims, scale, mask, window: None, distances: None }
    }

    /// The same, of which a query sees so many tokens to either side.
    fn within(self, window: u32) -> Case {
        Case { window: Some(window), ..self }
    }

    /// The same with scores by distance. Distances up to `linear` have buckets of their own, side by side or in no particular order, and those beyond share some.
    fn by_distance(self, linear: i64, is_ordered: bool, has_keys: bool) -> Case {
        let longest = self.offsets.windows(2).map(|pair| i64::from(pair[1] - pair[0])).max().unwrap_or(0);
        // One distance more than there is.
        let near = |distance: i64| {
            if distance.abs() <= linear { distance } else { distance.signum() * (linear + distance.abs() % 3) }
        };
        let (count, step) = (2 * (linear + 2) as usize + 1, if is_ordered { 1 } else { 2 });
        let of =
            (-longest..=longest).map(|distance| ((near(distance) + linear + 2) * step % count as i64) as u32).collect();
        let n = self.tokens() * self.dims.heads * count;
        let distances = Distances { by_query: values(5, n), by_key: has_keys.then(|| values(6, n)), of, count };
        Case { distances: Some(distances), ..self }
    }

    fn tokens(&self) -> usize {
        *self.offsets.last().unwrap() as usize
    }

    /// ctx and behind it lse, the same whichever way q, k and v are laid out.
    fn forward(&self) -> Vec<f32> {
        let [apart, pair, fused] = self.sources().map(|sources| {
            let (mut ctx, mut lse) = (vec![f32::NAN; self.q.len()], vec![f32::NAN; self.dims.heads * self.tokens()]);
            let sources: Vec<_> = sources.iter().map(Vec::as_slice).collect();
            forward(&mut ctx, &mut lse, self.input(&sources, &self.offsets));
            [ctx, lse].concat()
        });
        assert!(bits(&apart) == bits(&pair) && bits(&apart) == bits(&fused), "layouts of the sources differ");
        apart
    }

    fn input<'a>(&'a self, sources: &'a [&'a [f32]], query_offsets: &'a [u32]) -> super::Input<'a> {
        let Case { dims, scale, mask, window, ref offsets, .. } = *self;
        let relative = self.distances.as_ref().map(|distances| {
            let Distances { by_query, by_key, of, count } = distances;
            Relative { by_query, by_key: by_key.as_deref(), buckets: Buckets { of, count: *count } }
        });
        super::Input { sources, query_offsets, offsets, dims, scale, mask, window, relative }
    }

    /// The three layouts: `[q, k, v]`, `[q, k|v]` and `[q|k|v]`.
    fn sources(&self) -> [Vec<Vec<f32>>; 3] {
        let beside = |parts: &[&[f32]]| {
            let rows = (0..self.tokens()).flat_map(|row| parts.iter().flat_map(move |part| self.row(part, row)));
            rows.copied().collect::<Vec<f32>>()
        };
        let Case { q, k, v, .. } = self;
        [vec![q.clone(), k.clone(), v.clone()], vec![q.clone(), beside(&[k, v])], vec![beside(&[q, k, v])]]
    }

    fn row<'a>(&self, matrix: &'a [f32], row: usize) -> &'a [f32] {
        let w = self.dims.width();
        &matrix[(row * w).min(matrix.len())..((row + 1) * w).min(matrix.len())]
    }

    /// Backward of `[q, k, v]`.
    fn backward(&self, grads: &mut [Target<'_>], saved: &[f32]) {
        let [sources, ..] = self.sources();
        let sources: Vec<_> = sources.iter().map(Vec::as_slice).collect();
        let (ctx, lse) = saved.split_at(self.q.len());
        let mut scratch = vec![f32::NAN; backward_scratch(self.tokens(), self.dims)];
        backward(grads, &self.dctx, ctx, lse, self.input(&sources, &self.offsets), &mut scratch);
    }

    /// What gradients are taken by.
    fn inputs(&self) -> Vec<&[f32]> {
        let distances = self.distances.iter().flat_map(|d| std::iter::once(&d.by_query).chain(&d.by_key));
        [&self.q, &self.k, &self.v].into_iter().chain(distances).map(Vec::as_slice).collect()
    }

    /// The gradient of one of q, k, v and what distances add.
    fn gradient(&self, which: usize, saved: &[f32]) -> Vec<f32> {
        let inputs = self.inputs();
        targets(["dq", "dk", "dv", "by query", "by key"][which], inputs[which].len(), |target| {
            let mut grads: Vec<Target<'_>> = inputs.iter().map(|_| None).collect();
            grads[which] = target;
            self.backward(&mut grads, saved);
        })
    }

    fn check(&self) {
        let saved = same_bits("attention", || self.forward());
        let [q, k, v, dctx] = [&self.q, &self.k, &self.v, &self.dctx].map(|x| widen(x));
        let (offsets, scale) = (self.offsets.as_slice(), f64::from(self.scale));
        let Case { dims, mask, window, .. } = *self;
        let wide =
            self.distances.as_ref().map(|d| (widen(&d.by_query), d.by_key.as_ref().map(|numbers| widen(numbers))));
        let relative = self.distances.as_ref().zip(wide.as_ref()).map(|(d, (by_query, by_key))| textbook::Relative {
            by_query,
            by_key: by_key.as_deref(),
            buckets: Buckets { of: &d.of, count: d.count },
        });
        let input = Input { q: &q, k: &k, v: &v, offsets, dims, scale, mask, window, relative };
        let (ctx, lse) = textbook::forward(input);
        // A score is a sum of d products below 4, scaled: |s| <= 4·√d. Its rounding error, at most d·2^-24·|s|/2 and in practice √d of
        // that, is the relative error of p, and so of ctx; what follows is a few 2^-24. Kept scales multiply all of it.
        let d = self.dims.head_dim as f64;
        let largest = (0..100_000).map(|i| self.mask.keep_scale(i)).fold(0.0, f32::max);
        let tolerance = (d + 16.0) * 2f64.powi(-24) * 4.0 * f64::from(largest);
        assert_close("ctx and lse", &saved, &[ctx, lse].concat(), tolerance);
        let grads = textbook::backward(&dctx, input);
        // Where gradients are small next to what they are summed from, elements say little: their norm does. Three chains of multiply-adds stand one behind
        // the other: scores and g over d, sums over the keys. The roundings of a chain of n add up as a random walk, √n·2^-24 of the sum, and are
        // multiplied by what is kept; exp and the rest are a few more. A fifth of this is seen, for all shapes.
        let longest = self.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0) as f64;
        let bound = (2.0 * d.sqrt() + longest.sqrt() + 8.0) * 2f64.powi(-24) * f64::from(largest);
        let grads = [grads.q, grads.k, grads.v, grads.by_query, grads.by_key];
        for (which, want) in grads.into_iter().take(self.inputs().len()).enumerate() {
            let name = ["dq", "dk", "dv", "by query", "by key"][which];
            let got = self.gradient(which, &saved);
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
            let off = norm(&mut got.iter().zip(&want).map(|(&got, want)| f64::from(got) - want));
            let size = norm(&mut want.iter().copied()).max(1.0);
            assert!(off <= bound * size, "{name} of {:?}, heads of {d}: off by {off} of {size}", self.offsets);
        }
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
        Case::new(&[513, 2], 1, 64, mask).check();
        Case::new(&[9, 70], 1, MAX_HEAD_DIM, mask).check();
    }
}

#[test]
fn a_window_follows_the_textbook() {
    for mask in [Mask::NONE, Mask::new(0.1, 5, 6, 7, 8)] {
        // The sequence ends before the window, at it and beyond it; windows within a tile, of a tile, and of more than one.
        for (lengths, window) in [
            (&[3, 0, 5, 1, 9][..], 1),
            (&[4, 5, 6, 40], 4),
            (&[64, 65, 66, 200], 64),
            (&[130, 300], 20),
            (&[257, 1], 63),
            (&[400], 100),
            (&[70], u32::MAX),
        ] {
            Case::new(lengths, 2, 16, mask).within(window).check();
        }
    }
}

#[test]
fn scores_by_distance_follow_the_textbook() {
    for mask in [Mask::NONE, Mask::new(0.1, 5, 6, 7, 8)] {
        for has_keys in [false, true] {
            for (lengths, linear) in [
                (&[][..], 3),
                (&[0, 1], 1),
                (&[3, 0, 5, 1, 9], 2),
                (&[64, 65, 66], 80),
                (&[63, 200, 7], 20),
                (&[300], 64),
            ] {
                for is_ordered in [false, true] {
                    Case::new(lengths, 2, 16, mask).by_distance(linear, is_ordered, has_keys).check();
                }
            }
            Case::new(&[70, 200], 3, 32, mask).by_distance(20, true, has_keys).within(30).check();
        }
    }
}

#[test]
fn a_window_of_nothing_but_the_token_itself_gives_its_value() {
    let case = Case::new(&[3, 0, 70], 2, 16, Mask::NONE).within(0);
    assert_eq!(case.forward()[..case.v.len()], case.v);
}

#[test]
fn a_window_that_holds_the_sequence_changes_no_bit() {
    let (whole, within) =
        [Case::new(&[30, 65, 1], 2, 16, Mask::NONE), Case::new(&[30, 65, 1], 2, 16, Mask::NONE).within(64)]
            .map(|case| case.forward())
            .into();
    assert!(bits(&whole) == bits(&within));
}

#[test]
fn gradients_of_every_layout_are_the_single_ones() {
    let case = Case::new(&[70, 0, 3], 2, 16, Mask::new(0.1, 5, 6, 7, 8));
    let saved = case.forward();
    let (ctx, lse) = saved.split_at(case.q.len());
    let [dq, dk, dv] = [0, 1, 2].map(|which| case.gradient(which, &saved));
    let want = Case { q: dq, k: dk, v: dv, ..Case::new(&[70, 0, 3], 2, 16, Mask::NONE) }.sources();
    for (sources, want) in case.sources().iter().zip(&want) {
        let sources: Vec<_> = sources.iter().map(Vec::as_slice).collect();
        for beta in [0.0, 1.0] {
            let before = if beta == 0.0 { f32::NAN } else { 0.0 };
            let mut memory: Vec<Vec<f32>> = sources.iter().map(|source| vec![before; source.len()]).collect();
            let mut grads: Vec<Target<'_>> = memory.iter_mut().map(|memory| Some((&mut memory[..], beta))).collect();
            let mut scratch = vec![f32::NAN; backward_scratch(case.tokens(), case.dims)];
            backward(&mut grads, &case.dctx, ctx, lse, case.input(&sources, &case.offsets), &mut scratch);
            assert_eq!(&memory, want, "{} sources, beta {beta}", sources.len());
        }
    }
}

#[test]
fn a_few_queries_get_the_bits_of_the_full_computation() {
    for (lengths, count, window, linear) in [
        (vec![23, 1, 70, 0, 64], 1, None, None),
        (vec![130, 5, 9], 3, None, None),
        (vec![66], 65, None, None),
        (vec![4, 7], 0, None, None),
        (vec![300, 5, 70], 1, Some(64), None),
        (vec![200, 9], 66, Some(10), None),
        (vec![200], 0, Some(10), None),
        (vec![23, 1, 70, 0, 64], 1, None, Some((20, false))),
        (vec![23, 1, 70, 0, 64], 1, None, Some((80, true))),
        (vec![130, 5], 66, None, Some((20, false))),
        (vec![130, 5], 66, None, Some((100, true))),
        (vec![9], 0, None, Some((3, true))),
    ] {
        let case = Case { window, ..Case::new(&lengths, 2, 16, Mask::new(0.1, 5, 6, 7, 8)) };
        let case =
            if let Some((linear, is_ordered)) = linear { case.by_distance(linear, is_ordered, true) } else { case };
        let (w, heads) = (case.dims.width(), case.dims.heads);
        let mut query_offsets = vec![0u32];
        lengths.iter().for_each(|&n| query_offsets.push(query_offsets.last().unwrap() + n.min(count) as u32));
        // The tokens that are queried: the first of each sequence.
        let tokens: Vec<usize> = case
            .offsets
            .windows(2)
            .flat_map(|pair| (pair[0]..pair[1]).take(count).map(|token| token as usize))
            .collect();
        let pick_rows =
            |matrix: &[f32], w: usize| tokens.iter().flat_map(|&t| matrix[t * w..][..w].to_vec()).collect::<Vec<_>>();
        let pick = |matrix: &[f32]| pick_rows(matrix, w);
        let full = case.forward();
        let (full_ctx, full_lse) = full.split_at(case.q.len());
        let [_, sources, _] = case.sources();
        let (q, kv) = (pick(&case.q), &sources[1]);
        let sources = [&q[..], kv];
        let numbers = case.distances.as_ref().map_or(0, |distances| heads * distances.count);
        let picked = case.distances.as_ref().map(|distances| pick_rows(&distances.by_query, numbers));
        let mut input = case.input(&sources, &query_offsets);
        input.relative = input.relative.zip(picked.as_deref()).map(|(all, by_query)| Relative { by_query, ..all });
        let (mut ctx, mut lse) = (vec![f32::NAN; q.len()], vec![f32::NAN; heads * tokens.len()]);
        forward(&mut ctx, &mut lse, input);
        assert_eq!(ctx, pick(full_ctx));
        let all = case.tokens();
        let rows = (0..heads).flat_map(|h| tokens.iter().map(move |t| h * all + t));
        let want: Vec<f32> = rows.map(|row| full_lse[row]).collect();
        assert_eq!(lse, want);

        // Only the queried rows of the full result have a gradient.
        let mut dctx = vec![0.0; case.q.len()];
        tokens.iter().for_each(|&t| dctx[t * w..][..w].copy_from_slice(&case.dctx[t * w..][..w]));
        let distances = case.distances.clone();
        let full_case = Case { dctx, window, distances, ..Case::new(&lengths, 2, 16, case.mask) };
        let by_distance: Vec<_> = (3..full_case.inputs().len()).map(|which| full_case.gradient(which, &full)).collect();
        let [dq, dk, dv] = [0, 1, 2].map(|which| full_case.gradient(which, &full));
        let (mut got_q, mut got_kv) = (vec![f32::NAN; q.len()], vec![f32::NAN; kv.len()]);
        let mut scratch = vec![f32::NAN; backward_scratch(tokens.len(), case.dims)];
        let mut got = [vec![f32::NAN; tokens.len() * numbers], vec![f32::NAN; all * numbers]];
        let mut grads = vec![Some((&mut got_q[..], 0.0)), Some((&mut got_kv[..], 0.0))];
        grads.extend(got.iter_mut().take(by_distance.len()).map(|got| Some((&mut got[..], 0.0))));
        backward(&mut grads, &pick(&case.dctx), &ctx, &lse, input, &mut scratch);
        assert_eq!(got_q, pick(&dq));
        if let [by_query, by_key] = &by_distance[..] {
            assert_eq!(got, [pick_rows(by_query, numbers), by_key.clone()]);
        }
        let full_kv = Case { k: dk, v: dv, ..full_case }.sources()[1][1].clone();
        assert_eq!(got_kv, full_kv);
    }
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
    let case = Case::new(&[3, 5], 2, 3, Mask::new(0.3, 5, 6, 7, 8));
    let [q, k, v, dctx] = [&case.q, &case.k, &case.v, &case.dctx].map(|x| widen(x));
    let (offsets, scale) = (case.offsets.as_slice(), f64::from(case.scale));
    let window = Some(2);
    // Five distances in three buckets, for the longer sequence, of which the window leaves fewer.
    let buckets = Buckets { of: &[2, 1, 1, 1, 0, 2, 2, 1, 0], count: 3 };
    let [by_query, by_key] = [5, 6].map(|seed| widen(&values(seed, 8 * 2 * 3)));
    let relative = textbook::Relative { by_query: &by_query, by_key: Some(&by_key), buckets };
    let (dims, mask) = (case.dims, case.mask);
    let input = Input { q: &q, k: &k, v: &v, offsets, dims, scale, mask, window, relative: Some(relative) };
    let grads = textbook::backward(&dctx, input);
    let loss = |input: Input<'_, f64>| project(&textbook::forward(input).0, &dctx);
    let by_distance = |relative: textbook::Relative<'_, f64>| loss(Input { relative: Some(relative), ..input });
    assert_close_f64("dq", &grads.q, &gradient(&q, |q| loss(Input { q, ..input })), 1e-8);
    assert_close_f64("dk", &grads.k, &gradient(&k, |k| loss(Input { k, ..input })), 1e-8);
    assert_close_f64("dv", &grads.v, &gradient(&v, |v| loss(Input { v, ..input })), 1e-8);
    let slope = gradient(&by_query, |by_query| by_distance(textbook::Relative { by_query, ..relative }));
    assert_close_f64("by query", &grads.by_query, &slope, 1e-8);
    let slope = gradient(&by_key, |by_key| by_distance(textbook::Relative { by_key: Some(by_key), ..relative }));
    assert_close_f64("by key", &grads.by_key, &slope, 1e-8);
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
#[should_panic(expected = "attention: k: expected 24 elements, got 16")]
fn a_short_input_panics() {
    let (q, k) = (vec![0.0; 24], vec![0.0; 16]);
    let case = Case::new(&[3], 2, 4, Mask::NONE);
    forward(&mut [0.0; 24], &mut [0.0; 6], case.input(&[&q, &k, &q], &[0, 3]));
}

#[test]
#[should_panic(expected = "attention: offsets: sequence 1 from 3 to 2")]
fn descending_offsets_panic() {
    let case = Case { offsets: vec![0, 3, 2], ..Case::new(&[3], 2, 4, Mask::NONE) };
    forward(&mut [], &mut [], case.input(&[], &[0, 3, 2]));
}
