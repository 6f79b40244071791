//! The kernels beside the matmul, at the sizes of MiniLM with one batch of 746 tokens. Must not know the model.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group};
use ferrotune_benches::{offsets, values};
use ferrotune_kernels::adamw::AdamW;
use ferrotune_kernels::add_norm::{AddNormGrads, NormDims};
use ferrotune_kernels::attention::head_products::{self, HeadProducts};
use ferrotune_kernels::attention::{AttentionDims, Buckets, Input, Relative};
use ferrotune_kernels::mask::Mask;
use ferrotune_kernels::rotary::Rotary;
use ferrotune_kernels::target::Target;
use ferrotune_kernels::{adamw, add_norm, attention, geglu, gelu, rotary, softmax};

/// Tokens of the batch.
const TOKENS: usize = 746;
/// Hidden size.
const HIDDEN: usize = 384;
/// Feed-forward size.
const INTERMEDIATE: usize = 1536;
/// Tokens of a long text, at the heads of ModernBERT-base: 12 of 64, of which most layers see 64 tokens to either side.
const LONG: usize = 1024;
/// Parameters of MiniLM with six layers, rounded.
const PARAMETERS: usize = 22_700_000;
/// Bytes that AdamW moves for a parameter: four streams in and three out.
const ADAMW_BYTES: usize = 28;

fn attention_benches(criterion: &mut Criterion) {
    let (offsets, dims) = (offsets(), AttentionDims { heads: 12, head_dim: 32 });
    let n = TOKENS * dims.width();
    let (qkv, dctx) = (values(1, 3 * n), values(4, n));
    let (mut ctx, mut dqkv) = (vec![0.0; n], vec![0.0; 3 * n]);
    let mut lse = vec![0.0; dims.heads * TOKENS];
    let mut scratch = vec![0.0; attention::backward_scratch(TOKENS, dims)];
    let scale = 1.0 / (dims.head_dim as f32).sqrt();
    for (name, mask) in [("no dropout", Mask::NONE), ("dropout", Mask::new(0.1, 1, 0, 0, 1))] {
        let sources = [&qkv[..]];
        let input = Input {
            sources: &sources,
            query_offsets: &offsets,
            offsets: &offsets,
            dims,
            scale,
            mask,
            window: None,
            relative: None,
        };
        criterion.bench_function(&format!("attention/forward/{name}"), |bencher| {
            bencher.iter(|| attention::forward(&mut ctx, &mut lse, input));
        });
        // Once more untimed: a filter by name may have skipped the line above.
        attention::forward(&mut ctx, &mut lse, input);
        criterion.bench_function(&format!("attention/backward/{name}"), |bencher| {
            bencher.iter(|| {
                attention::backward(&mut [Some((&mut dqkv, 0.0))], &dctx, &ctx, &lse, input, &mut scratch);
            });
        });
    }
}

/// Attention over a long text, with and without the window.
fn windows(criterion: &mut Criterion) {
    let (offsets, dims) = ([0, LONG as u32], AttentionDims { heads: 12, head_dim: 64 });
    let n = LONG * dims.width();
    let (qkv, dctx) = (values(1, 3 * n), values(4, n));
    let (mut ctx, mut dqkv) = (vec![0.0; n], vec![0.0; 3 * n]);
    let mut lse = vec![0.0; dims.heads * LONG];
    let mut scratch = vec![0.0; attention::backward_scratch(LONG, dims)];
    for (name, window) in [("all", None), ("window", Some(64))] {
        let sources = [&qkv[..]];
        let (query_offsets, offsets, scale, mask) = (&offsets[..], &offsets[..], 0.125, Mask::NONE);
        let input = Input { sources: &sources, query_offsets, offsets, dims, scale, mask, window, relative: None };
        criterion.bench_function(&format!("long attention/forward/{name}"), |bencher| {
            bencher.iter(|| attention::forward(&mut ctx, &mut lse, input));
        });
        attention::forward(&mut ctx, &mut lse, input);
        criterion.bench_function(&format!("long attention/backward/{name}"), |bencher| {
            bencher.iter(|| attention::backward(&mut [Some((&mut dqkv, 0.0))], &dctx, &ctx, &lse, input, &mut scratch));
        });
    }
}

/// What distances add to attention in a layer of DeBERTa: scores of queries and keys, which it reads, and the products that make one of them. With the batch of
/// the other benches, and with a long text, of which distances beyond 128 share rows of the table.
fn distances(criterion: &mut Criterion) {
    let short = offsets();
    let longest = short.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    let long = [0, LONG as u32];
    for (name, offsets, head_dim, longest) in [("batch", &short[..], 32, longest), ("long", &long[..], 64, LONG as u32)]
    {
        let (dims, tokens) = (AttentionDims { heads: 12, head_dim }, offsets[offsets.len() - 1] as usize);
        let near = |distance: u32| distance.min(128 + distance.saturating_sub(128) / 7);
        let before = (1..longest).rev().map(|distance| near(longest - 1) - near(distance));
        let after = (0..longest).map(|distance| near(longest - 1) + near(distance));
        let of: Vec<u32> = before.chain(after).collect();
        let buckets = Buckets { of: &of, count: 2 * near(longest - 1) as usize + 1 };
        let (n, numbers) = (tokens * dims.width(), tokens * dims.heads * buckets.count);
        let (qkv, dctx, by_query, by_key) = (values(1, 3 * n), values(4, n), values(5, numbers), values(6, numbers));
        let (mut ctx, mut lse) = (vec![0.0; n], vec![0.0; dims.heads * tokens]);
        let [mut dq, mut dk] = [(); 2].map(|()| vec![0.0; numbers]);
        let mut dqkv = vec![0.0; 3 * n];
        let mut scratch = vec![0.0; attention::backward_scratch(tokens, dims)];
        let sources = [&qkv[..]];
        let relative = Some(Relative { by_query: &by_query, by_key: Some(&by_key), buckets });
        let (query_offsets, scale, mask) = (offsets, 0.1, Mask::NONE);
        let input = Input { sources: &sources, query_offsets, offsets, dims, scale, mask, window: None, relative };
        let plain = Input { relative: None, ..input };
        for (what, input) in [("distances", input), ("none", plain)] {
            criterion.bench_function(&format!("by distance/forward/{name}/{what}"), |bencher| {
                bencher.iter(|| attention::forward(&mut ctx, &mut lse, input));
            });
            attention::forward(&mut ctx, &mut lse, input);
            criterion.bench_function(&format!("by distance/backward/{name}/{what}"), |bencher| {
                let mut grads: Vec<Target<'_>> =
                    vec![Some((&mut dqkv, 0.0)), Some((&mut dq, 0.0)), Some((&mut dk, 0.0))];
                grads.truncate(if input.relative.is_some() { 3 } else { 1 });
                bencher.iter(|| attention::backward(&mut grads, &dctx, &ctx, &lse, input, &mut scratch));
            });
        }
        let sizes = HeadProducts { rows: tokens, table: buckets.count, heads: dims };
        let (x, table, mut dx, mut dtable) =
            (&qkv[..n], values(7, buckets.count * dims.width()), vec![0.0; n], vec![0.0; buckets.count * dims.width()]);
        criterion.bench_function(&format!("head products/forward/{name}"), |bencher| {
            bencher.iter(|| head_products::forward(&mut dq, x, &table, sizes));
        });
        criterion.bench_function(&format!("head products/backward/{name}"), |bencher| {
            bencher.iter(|| {
                head_products::backward(Some((&mut dx, 0.0)), Some((&mut dtable, 0.0)), &by_query, x, &table, sizes);
            });
        });
    }
}

/// What else a layer of ModernBERT-base does, for the batch of the other benches.
fn rotary_and_geglu(criterion: &mut Criterion) {
    let positions: Vec<u32> = offsets().windows(2).flat_map(|pair| 0..pair[1] - pair[0]).collect();
    let frequencies: Vec<f32> = (0..32).map(|i| 10_000f32.powf(-(i as f32) / 32.0)).collect();
    let turn = Rotary { positions: &positions, frequencies: &frequencies, heads: 24, width: 3 * 768 };
    let (x, mut y) = (values(1, TOKENS * turn.width), vec![0.0; TOKENS * turn.width]);
    let mut scratch = vec![0.0; turn.scratch()];
    criterion.bench_function("rotary/forward", |bencher| {
        bencher.iter(|| rotary::forward(&mut y, &x, turn, &mut scratch));
    });
    let (pair, dy) = (&x[..TOKENS * 2 * 1152], values(2, TOKENS * 1152));
    let mut gated = vec![0.0; TOKENS * 1152];
    criterion.bench_function("geglu/forward", |bencher| bencher.iter(|| geglu::forward(&mut gated, pair, 1152)));
    criterion.bench_function("geglu/backward", |bencher| {
        bencher.iter(|| geglu::backward(Some((&mut y[..TOKENS * 2 * 1152], 0.0)), &dy, pair, 1152));
    });
}

fn layer_norm(criterion: &mut Criterion) {
    let dims = NormDims { rows: TOKENS, width: HIDDEN };
    let n = TOKENS * HIDDEN;
    let [x, residual, dy] = [1, 2, 3].map(|seed| values(seed, n));
    let [gamma, bias] = [4, 5].map(|seed| values(seed, HIDDEN));
    let [mut y, mut dx, mut dresidual] = [(); 3].map(|()| vec![0.0; n]);
    let [mut mean, mut rstd] = [(); 2].map(|()| vec![0.0; TOKENS]);
    let [mut dgamma, mut dbias] = [(); 2].map(|()| vec![0.0; HIDDEN]);
    let mut scratch = vec![0.0; add_norm::backward_scratch(dims)];
    let residual = Some(residual.as_slice());
    for (name, mask) in [("no dropout", Mask::NONE), ("dropout", Mask::new(0.1, 1, 0, 0, 2))] {
        criterion.bench_function(&format!("add and layer norm/forward/{name}"), |bencher| {
            bencher.iter(|| {
                add_norm::forward(
                    &mut y,
                    &mut mean,
                    &mut rstd,
                    &x,
                    residual,
                    &gamma,
                    Some(&bias),
                    1e-12,
                    mask,
                    None,
                    dims,
                );
            });
        });
        add_norm::forward(&mut y, &mut mean, &mut rstd, &x, residual, &gamma, Some(&bias), 1e-12, mask, None, dims);
        criterion.bench_function(&format!("add and layer norm/backward/{name}"), |bencher| {
            bencher.iter(|| {
                let grads = AddNormGrads {
                    dx: Some((&mut dx, 0.0)),
                    dresidual: Some((&mut dresidual, 0.0)),
                    dgamma: Some((&mut dgamma, 0.0)),
                    dbias: Some((&mut dbias, 0.0)),
                };
                add_norm::backward(grads, &dy, &x, residual, &gamma, &mean, &rstd, mask, None, dims, &mut scratch);
            });
        });
    }
}

fn softmax_and_gelu(criterion: &mut Criterion) {
    let n = TOKENS * INTERMEDIATE;
    let (x, dy) = (values(1, n), values(2, n));
    let [mut y, mut dx] = [(); 2].map(|()| vec![0.0; n]);
    let mut group = criterion.benchmark_group("elements");
    group.throughput(Throughput::Elements(n as u64));
    group.bench_function("gelu/forward", |bencher| bencher.iter(|| gelu::forward(&mut y, &x)));
    group.bench_function("gelu/backward", |bencher| bencher.iter(|| gelu::backward(Some((&mut dx, 0.0)), &dy, &x)));
    // Rows as long as a sequence of 128 tokens.
    group.bench_function("softmax/forward", |bencher| bencher.iter(|| softmax::forward(&mut y, &x, 128)));
    softmax::forward(&mut y, &x, 128);
    group.bench_function("softmax/backward", |bencher| {
        bencher.iter(|| softmax::backward(Some((&mut dx, 0.0)), &dy, &y, 128));
    });
    group.finish();
}

fn adamw_bench(criterion: &mut Criterion) {
    let (mut p, g) = (values(1, PARAMETERS), values(2, PARAMETERS));
    let [mut m, mut v] = [(); 2].map(|()| vec![0.0; PARAMETERS]);
    let constants = AdamW {
        lr: 2e-5,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        bias_correction1: 0.1,
        bias_correction2: 0.001,
    };
    let mut group = criterion.benchmark_group("adamw");
    group.throughput(Throughput::Bytes((ADAMW_BYTES * PARAMETERS) as u64));
    group.bench_function("MiniLM", |bencher| {
        bencher.iter(|| adamw::step(&mut p, &mut m, &mut v, &g, &constants, 1.0));
    });
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = short();
    targets = attention_benches, windows, distances, rotary_and_geglu, layer_norm, softmax_and_gelu, adamw_bench
}
/// On a thread of the pool, as the command line runs; from outside, each parallel kernel would wait for a thread to wake.
fn main() {
    rayon::scope(|_| benches());
}
