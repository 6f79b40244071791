//! Ragged attention: lengths around the edges of tiles, all layouts of the sources, dropout, queries of the first tokens alone.

use super::{BETAS, Bench, Case};
use crate::backend::{Attention, AttentionDims, Target};
use crate::{Backend, Mask, Tensor};

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "attention, lengths around tiles", run: lengths },
        Case { name: "attention, layouts and betas", run: layouts },
        Case { name: "attention, first tokens", run: first_tokens },
        Case { name: "attention, widths of heads", run: widths },
        Case { name: "attention, windows", run: windows },
        Case { name: "attention, nothing", run: nothing },
    ]
}

/// A batch, and what is asked of it.
struct Batch<'a> {
    /// Tokens of each sequence.
    lengths: &'a [u32],
    /// Queries of each sequence at most.
    queries: u32,
    dims: AttentionDims,
    mask: Mask,
    window: Option<u32>,
    /// Matrices that hold q, k and v: 1, 2 or 3.
    sources: usize,
    /// One for each source; none where nobody wants the gradient.
    betas: &'a [Option<f32>],
}

/// `[0, l₀, l₀ + l₁, ...]`.
fn offsets(lengths: impl Iterator<Item = u32>) -> Vec<u32> {
    let ends = lengths.scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

impl Batch<'_> {
    /// Notes ctx, lse and the gradients.
    fn run<B: Backend>(&self, bench: &mut Bench<'_, B>, what: &str) {
        let offsets_of = |most: u32| offsets(self.lengths.iter().map(|&length| length.min(most)));
        let (offsets, query_offsets) = (offsets_of(u32::MAX), offsets_of(self.queries));
        let rows = |offsets: &[u32]| offsets.last().map_or(0, |&end| end as usize);
        let (tokens, queries, width) = (rows(&offsets), rows(&query_offsets), self.dims.width());
        let shapes: &[[usize; 2]] = match self.sources {
            1 => &[[tokens, 3 * width]],
            2 => &[[queries, width], [tokens, 2 * width]],
            _ => &[[queries, width], [tokens, width], [tokens, width]],
        };
        let sources: Vec<_> = (1..).zip(shapes).map(|(seed, &shape)| bench.input(shape, seed)).collect();
        let mut ctx = bench.output([queries, width]);
        let data: Vec<_> = sources.iter().map(Tensor::data).collect();
        let input = Attention {
            sources: &data,
            query_offsets: &query_offsets,
            offsets: &offsets,
            dims: self.dims,
            scale: 1.0 / (self.dims.head_dim as f32).sqrt(),
            mask: self.mask,
            window: self.window,
            relative: None,
        };
        let rows = self.dims.heads * queries;
        let mut lse = bench.statistic([bench.backend.attention_saved(Attention { ..input })]);
        bench.backend.attention(ctx.data_mut(), lse.data_mut(), Attention { ..input });
        bench.note(format!("{what}: ctx"), &ctx);
        bench.note_part(format!("{what}: lse"), B::slice(&lse.buf, 0..rows));

        let dctx = bench.input([queries, width], 5);
        // Where nobody wants a gradient, the memory must stay as it is.
        let before = |beta: &Option<f32>| beta.unwrap_or(1.0);
        let targets = self.betas.iter().zip(shapes).zip(6..);
        let mut grads: Vec<_> = targets.map(|((beta, &shape), seed)| bench.target(shape, before(beta), seed)).collect();
        let mut targets: Vec<Target<'_, B>> =
            grads.iter_mut().zip(self.betas).map(|(grad, beta)| beta.map(|beta| (grad.data_mut(), beta))).collect();
        let (backend, pool) = (bench.backend, &mut bench.pool);
        backend.attention_backward(pool, &mut targets, dctx.data(), ctx.data(), lse.data(), input);
        drop(targets);
        for (source, grad) in grads.iter().enumerate() {
            bench.note(format!("{what}: gradient {source}, beta {:?}", self.betas[source]), grad);
        }
    }
}

/// Drops a tenth, and begins in the middle of a batch, where elements need more than 32 bits.
fn dropout(dims: AttentionDims) -> Mask {
    Mask::new(0.1, 5, 6, 7, 8).starting_at(ferrotune_kernels::attention::first_mask_element(40_000, dims.heads))
}

fn lengths<B: Backend>(bench: &mut Bench<'_, B>) {
    let dims = AttentionDims { heads: 2, head_dim: 32 };
    for (what, lengths) in [
        ("1", [1].as_slice()),
        ("short and empty", &[2, 0, 1, 33, 16, 17]),
        ("63, 64, 65", &[63, 64, 65]),
        ("200", &[200]),
    ] {
        let betas = [Some(0.0)];
        let batch =
            Batch { lengths, queries: u32::MAX, dims, mask: dropout(dims), window: None, sources: 1, betas: &betas };
        batch.run(bench, what);
    }
}

fn layouts<B: Backend>(bench: &mut Bench<'_, B>) {
    let dims = AttentionDims { heads: 3, head_dim: 16 };
    for sources in [1, 2, 3] {
        // Each source once without a target, and all with either beta.
        let some = (0..sources).map(|none| (0..sources).map(|i| (i != none).then_some(0.0)).collect());
        let all = BETAS.map(|beta| vec![Some(beta); sources]);
        for betas in some.chain(all) {
            let mask = if betas[0] == Some(1.0) { Mask::NONE } else { dropout(dims) };
            let batch =
                Batch { lengths: &[5, 37, 8], queries: u32::MAX, dims, mask, window: None, sources, betas: &betas };
            batch.run(bench, &format!("{sources} sources, {betas:?}"));
        }
    }
}

fn first_tokens<B: Backend>(bench: &mut Bench<'_, B>) {
    let dims = AttentionDims { heads: 2, head_dim: 32 };
    for queries in [0, 1, 3] {
        for beta in BETAS {
            let betas = [Some(beta), Some(beta)];
            let batch = Batch {
                lengths: &[1, 70, 4, 20],
                queries,
                dims,
                mask: dropout(dims),
                window: None,
                sources: 2,
                betas: &betas,
            };
            batch.run(bench, &format!("{queries} queries, beta {beta}"));
        }
    }
}

fn widths<B: Backend>(bench: &mut Bench<'_, B>) {
    // Also such as no vector load fits, and one of half a vector in bf16.
    for head_dim in [1, 7, 12, 20, 48, 64, 72, 128] {
        let dims = AttentionDims { heads: 2, head_dim };
        let betas = [Some(0.0), Some(1.0), Some(0.0)];
        // The elements of the 10th token's row pass 2³² at its sixth key.
        let before = ferrotune_kernels::attention::first_mask_element(9, dims.heads) + 5;
        let mask = Mask::new(0.1, 5, 6, 7, 8).starting_at((1 << 32) - before);
        let batch = Batch { lengths: &[9, 70], queries: u32::MAX, dims, mask, window: None, sources: 3, betas: &betas };
        batch.run(bench, &format!("head_dim {head_dim}"));
    }
}

fn windows<B: Backend>(bench: &mut Bench<'_, B>) {
    // Within a tile, of a tile and of more than one, and longer than all; and wide heads, whose tiles may have another shape.
    for (window, head_dim) in [(1, 32), (5, 32), (5, 72), (64, 32), (100, 32), (u32::MAX, 32)] {
        let dims = AttentionDims { heads: 2, head_dim };
        for (queries, mask) in [(u32::MAX, Mask::NONE), (u32::MAX, dropout(dims)), (1, dropout(dims))] {
            let lengths = &[1, 150, 0, 6, 64, 230];
            let betas = [Some(0.0), Some(1.0)];
            let batch = Batch { lengths, queries, dims, mask, window: Some(window), sources: 2, betas: &betas };
            let what = format!("window {window}, heads of {head_dim}, {queries} queries, dropout {}", !mask.is_none());
            batch.run(bench, &what);
        }
    }
}

fn nothing<B: Backend>(bench: &mut Bench<'_, B>) {
    let dims = AttentionDims { heads: 2, head_dim: 8 };
    for lengths in [[].as_slice(), &[0, 0]] {
        let betas = [Some(0.0)];
        let batch =
            Batch { lengths, queries: u32::MAX, dims, mask: Mask::NONE, window: None, sources: 1, betas: &betas };
        batch.run(bench, &format!("{} empty sequences", lengths.len()));
    }
}
