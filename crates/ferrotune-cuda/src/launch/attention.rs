//! Ragged attention: which tiles its blocks take, and how a head's columns lie. Twins: `kernels/attention.cuh`, `attention.cu`,
//! `attention_backward.cu`.

use super::area;
use crate::device::{Device, DeviceError, Grid, Kind};
use crate::gpu::Gpu;
use crate::memory::{Dropout, Mut, Ref, View};
use bytemuck::NoUninit;
use ferrotune_tensor::Pool;
use ferrotune_tensor::backend::{Attention, AttentionDims, Target};

/// The widest head that a tile in shared memory holds.
const MAX_HEAD_DIM: usize = 128;

/// The longest sequence, and a window that leaves all of it: kernels add a few of these in 32 bits.
const LONGEST: u32 = 1 << 30;

/// `HeadColumns` of the kernels.
#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Columns {
    data: u64,
    stride: u64,
}

/// `HeadTarget` of the kernels.
#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Goal {
    to: Columns,
    beta: f32,
    wanted: u32,
}

/// `AttentionTile` of the kernels.
#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Tile {
    query: u32,
    queries: u32,
    key: u32,
    keys: u32,
    first: u32,
    words: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct InputParams {
    mask: Dropout,
    tiles: u64,
    q: Columns,
    k: Columns,
    v: Columns,
    queries: u64,
    words: u64,
    heads: u32,
    head_dim: u32,
    scale: f32,
    wide: u32,
    word_blocks: u32,
    window: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ForwardParams {
    input: InputParams,
    ctx: Columns,
    lse: u64,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct DeltaParams {
    ctx: Columns,
    dctx: Columns,
    delta: u64,
    queries: u64,
    heads: u32,
    head_dim: u32,
    wide: u32,
    unused: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct BackwardParams {
    input: InputParams,
    dctx: Columns,
    lse: u64,
    delta: u64,
    dq: Goal,
    dk: Goal,
    dv: Goal,
}

/// The tiles of one kernel: `PlainTiles` and `TensorTiles` of the kernels.
#[derive(Clone, Copy)]
struct Tiling {
    /// Which of the kernels' widths.
    index: usize,
    kind: Kind,
    /// The head's width, rounded up.
    width: usize,
    /// Rows of a block's own tile.
    rows: usize,
    /// Rows of the other tiles.
    columns: usize,
}

impl Tiling {
    fn new(kind: Kind, head_dim: usize) -> Tiling {
        let index = [32, 64, MAX_HEAD_DIM].iter().position(|&width| head_dim <= width);
        let index = index.unwrap_or_else(|| {
            let why = format!("they may have {MAX_HEAD_DIM} on a GPU; the processor has no such limit");
            DeviceError::throw(format!("compute attention with heads of {head_dim} numbers"), why)
        });
        let is_widest = index == 2;
        let (rows, columns) = match kind {
            Kind::F32 => (32, if is_widest { 8 } else { 32 }),
            Kind::Bf16 => (64, if is_widest { 16 } else { 64 }),
        };
        Tiling { index, kind, width: 32 << index, rows, columns }
    }

    /// Threads of a block: a warp for 16 rows.
    fn threads(&self) -> usize {
        2 * self.rows
    }

    /// Blocks of the mask's words of a sequence.
    fn word_blocks(&self, queries: u32, keys: u32) -> usize {
        (queries as usize).div_ceil(self.rows) * (keys as usize).div_ceil(self.columns)
    }

    /// Which of a kernel's variants by kind and width.
    fn choose(&self, names: [[&'static str; 3]; 2]) -> &'static str {
        names[usize::from(self.kind == Kind::Bf16)][self.index]
    }

    /// A launch with `own` tiles of a block's rows, in `blocks` blocks for each head.
    fn grid(&self, blocks: usize, heads: usize, own: usize) -> Grid {
        let pitch = self.width + 16 / self.kind.bytes();
        let tiles = (own * self.rows + 2 * self.columns) * pitch * self.kind.bytes();
        // f32 exchanges weights there; the backward keeps the statistics of its columns, 5 words each, and a word a thread of the mask.
        let weights = if self.kind == Kind::F32 { self.rows * (self.columns + 4) } else { 0 };
        let shared = tiles + (weights + 5 * self.columns + self.threads()) * size_of::<f32>();
        let count = |n: usize| u32::try_from(n).expect("a launch of less than 2³² blocks");
        Grid { blocks: [count(blocks), count(heads)], threads: self.threads() as u32, shared: count(shared) }
    }
}

/// A checked input and where its matrices lie.
struct Job<'a, 'd: 'a, D: Device> {
    input: Attention<'a, 'd, Gpu<D>>,
    tiling: Tiling,
    queries: usize,
    tokens: usize,
    /// Blocks of the mask's words of each head; none where the backward computes the mask again: without dropout, and where a thread's share of a tile is
    /// no word of 32 bits.
    word_blocks: usize,
}

impl<'a, 'd: 'a, D: Device> Job<'a, 'd, D> {
    /// Checks the input, with this many elements in ctx and lse.
    fn new(input: Attention<'a, 'd, Gpu<D>>, ctx: usize, lse: usize) -> Self {
        let Attention { sources, query_offsets, offsets, dims: AttentionDims { heads, head_dim }, .. } = input;
        assert!((1..=3).contains(&sources.len()), "attention: sources: expected 1 to 3, got {}", sources.len());
        if input.relative.is_some() {
            no_distances();
        }
        // Its product with the score of what is not seen must stay minus infinity.
        assert!(input.scale > 0.0, "attention: a scale of {}", input.scale);
        // Kernels count both in 32 bits.
        let fits = |number: usize| (1..=u32::MAX as usize).contains(&number);
        assert!(fits(heads) && fits(head_dim), "attention: {heads} heads of {head_dim}");
        assert!(
            offsets.len() == query_offsets.len(),
            "attention: {} and {} offsets",
            offsets.len(),
            query_offsets.len()
        );
        for (rows, queries) in offsets.windows(2).zip(query_offsets.windows(2)) {
            let good = rows[0] <= rows[1] && queries[0] <= queries[1] && queries[1] - queries[0] <= rows[1] - rows[0];
            assert!(good, "attention: a sequence of rows {rows:?} has the queries {queries:?}");
            assert!(rows[1] - rows[0] <= LONGEST, "attention: a sequence of rows {rows:?}, of {LONGEST} at most");
        }
        let last = |offsets: &[u32]| offsets.last().map_or(0, |&end| end as usize);
        let (queries, tokens) = (last(query_offsets), last(offsets));
        let kind = sources[0].view.kind();
        let tiling = Tiling::new(kind, head_dim);
        let keeps_words = !input.mask.is_none() && tiling.rows * tiling.columns == 32 * tiling.threads();
        let sequences = query_offsets.windows(2).zip(offsets.windows(2)).filter(|_| keeps_words);
        let blocks = sequences.map(|(queries, keys)| tiling.word_blocks(queries[1] - queries[0], keys[1] - keys[0]));
        let job = Job { input, tiling, queries, tokens, word_blocks: blocks.sum() };
        for (source, len) in sources.iter().zip(job.lens()) {
            assert!(
                source.len == len && source.view.kind() == kind,
                "attention: a source of {}, not {len}",
                source.len
            );
        }
        assert!(ctx == area(queries, job.width()), "attention: ctx of {ctx} for {queries} queries");
        assert!(lse >= queries * heads, "attention: lse of {lse} for {queries} queries");
        job
    }

    /// Numbers of lse alone.
    fn rows(&self) -> usize {
        self.queries * self.input.dims.heads
    }

    /// Numbers that the forward saves: lse, and the words of the mask.
    fn saved(&self) -> usize {
        self.rows() + self.input.dims.heads * self.word_blocks * self.tiling.threads()
    }

    /// Where the words begin in what was saved; 0 if there are none, or no room for them.
    fn words(&self, saved: View, len: usize) -> u64 {
        let has_room = self.word_blocks > 0 && len >= self.saved();
        if has_room { saved.skip(self.rows()).data } else { 0 }
    }

    fn width(&self) -> usize {
        self.input.dims.width()
    }

    /// Elements of each source.
    fn lens(&self) -> Vec<usize> {
        let (width, queries, tokens) = (self.width(), self.queries, self.tokens);
        match self.input.sources.len() {
            1 => {
                assert!(queries == tokens, "attention: one source needs a query for each token");
                vec![area(tokens, 3 * width)]
            }
            2 => vec![area(queries, width), area(tokens, 2 * width)],
            _ => vec![area(queries, width), area(tokens, width), area(tokens, width)],
        }
    }

    /// The source that holds q, k or v, which of its blocks of columns, and how many it has.
    fn places(&self) -> [(usize, usize, usize); 3] {
        match self.input.sources.len() {
            1 => [(0, 0, 3), (0, 1, 3), (0, 2, 3)],
            2 => [(0, 0, 1), (1, 0, 2), (1, 1, 2)],
            _ => [(0, 0, 1), (1, 0, 1), (2, 0, 1)],
        }
    }

    /// The columns of q, k or v in a matrix like their source.
    fn columns(&self, view: View, (_, block, blocks): (usize, usize, usize)) -> Columns {
        let width = self.width();
        Columns { data: view.skip(block * width).data, stride: (blocks * width) as u64 }
    }

    /// Columns of ctx or dctx.
    fn by_query(&self, view: View) -> Columns {
        assert!(view.kind() == self.tiling.kind, "attention: the context is stored in another way than its sources");
        self.columns(view, (0, 0, 1))
    }

    /// Whether 16 bytes of a row of each head can be read and written at once, in the sources and in these matrices.
    fn is_wide(&self, others: impl IntoIterator<Item = View>) -> u32 {
        let fits = |view: View| view.data.is_multiple_of(16);
        let views = self.input.sources.iter().map(|source| source.view).chain(others);
        let row = self.input.dims.head_dim * self.tiling.kind.bytes();
        u32::from(row.is_multiple_of(16) && views.into_iter().all(fits))
    }

    fn params(&self, tiles: u64, words: u64, wide: u32) -> InputParams {
        let Attention { sources, dims, scale, mask, window, .. } = self.input;
        let [q, k, v] = self.places().map(|place| self.columns(sources[place.0].view, place));
        let (heads, head_dim) = (dims.heads as u32, dims.head_dim as u32);
        let (queries, word_blocks) = (self.queries as u64, self.word_blocks as u32);
        let (mask, window) = (mask.into(), window.map_or(LONGEST, |window| window.min(LONGEST)));
        InputParams { mask, tiles, q, k, v, queries, words, heads, head_dim, scale, wide, word_blocks, window }
    }

    /// The tiles of all sequences: of their queries, or of their keys. All layers of a pass have the same.
    fn tiles(&self, of_queries: bool) -> Vec<Tile> {
        let sequences = self.input.query_offsets.windows(2).zip(self.input.offsets.windows(2));
        let mut blocks = 0;
        let tiles = sequences.flat_map(|(queries, keys)| {
            let (query, key) = (queries[0], keys[0]);
            let (queries, keys) = (queries[1] - query, keys[1] - key);
            let words = blocks as u32;
            blocks += self.tiling.word_blocks(queries, keys);
            let own = if of_queries { queries } else { keys };
            (0..own).step_by(self.tiling.rows).map(move |first| Tile { query, queries, key, keys, first, words })
        });
        tiles.collect()
    }
}

/// Whoever asks nevertheless gets an error.
pub(crate) fn no_distances() -> ! {
    DeviceError::throw("score distances", "there are no kernels for it yet; the processor has them")
}

/// Numbers that attention saves.
pub(crate) fn attention_saved<D: Device>(input: Attention<'_, '_, Gpu<D>>) -> usize {
    let queries = input.query_offsets.last().map_or(0, |&end| end as usize);
    let Attention { dims, .. } = input;
    Job::new(input, queries * dims.width(), queries * dims.heads).saved()
}

/// Ragged multi-head attention; saves the log-sum-exp of each score row, and where there is room for it which probabilities were kept.
pub(crate) fn attention<D: Device>(gpu: &Gpu<D>, ctx: Mut<'_>, lse: Mut<'_>, input: Attention<'_, '_, Gpu<D>>) {
    let job = Job::new(input, ctx.len, lse.len);
    let tiles = job.tiles(true);
    if tiles.is_empty() {
        return;
    }
    let mut tables = gpu.tables();
    let input = job.params(tables.place(&tiles), job.words(lse.view, lse.len), job.is_wide([ctx.view]));
    let params = ForwardParams { input, ctx: job.by_query(ctx.view), lse: lse.view.address_of_f32() };
    let kernel = job.tiling.choose([
        ["attention_f32_32", "attention_f32_64", "attention_f32_128"],
        ["attention_bf16_32", "attention_bf16_64", "attention_bf16_128"],
    ]);
    let grid = job.tiling.grid(tiles.len(), job.input.dims.heads, 1);
    // SAFETY: the sources, ctx and lse are borrowed, and `Job::new` compared them with the heads and the offsets, which bound every tile; `words` has
    // found room, lse is in f32 and the rest of the kind that the kernel is chosen by, `is_wide` says what they allow, and `tables` lives.
    unsafe { gpu.device().launch(kernel, grid, &params) };
}

/// Gradients of attention by recomputation, one target for each source.
pub(crate) fn attention_backward<D: Device>(
    gpu: &Gpu<D>,
    pool: &mut Pool<Gpu<D>>,
    grads: &mut [Target<'_, Gpu<D>>],
    dctx: Ref<'_>,
    ctx: Ref<'_>,
    lse: Ref<'_>,
    input: Attention<'_, '_, Gpu<D>>,
) {
    let job = Job::new(input, ctx.len, lse.len);
    assert!(dctx.len == ctx.len, "attention backward: dctx of {}, ctx of {}", dctx.len, ctx.len);
    assert!(grads.len() == job.input.sources.len(), "attention backward: {} targets", grads.len());
    for (target, len) in grads.iter().zip(job.lens()) {
        let Some((target, _)) = target else { continue };
        let good = target.len == len && target.view.kind() == job.tiling.kind;
        assert!(good, "attention backward: a target of {}, not {len}", target.len);
    }
    let goals = job.places().map(|place| match &grads[place.0] {
        Some((to, beta)) => Goal { to: job.columns(to.view, place), beta: *beta, wanted: 1 },
        None => Goal { to: job.columns(View::NONE, place), beta: 0.0, wanted: 0 },
    });
    let [dq, dk, dv] = goals;
    let wide = job.is_wide(grads.iter().flatten().map(|(to, _)| to.view).chain([ctx.view, dctx.view]));
    let mut delta = pool.scratch(job.rows());
    if goals.iter().any(|goal| goal.wanted == 1) && job.queries > 0 {
        sum_products(gpu, &job, ctx, dctx, delta.data_mut(), wide);
    }
    let sums = delta.data().view.address_of_f32();
    for of_queries in [true, false] {
        let tiles = job.tiles(of_queries);
        let is_wanted = if of_queries { dq.wanted == 1 } else { dk.wanted == 1 || dv.wanted == 1 };
        if tiles.is_empty() || !is_wanted {
            continue;
        }
        let mut tables = gpu.tables();
        let input = job.params(tables.place(&tiles), job.words(lse.view, lse.len), wide);
        let (dctx, lse) = (job.by_query(dctx.view), lse.view.address_of_f32());
        let params = BackwardParams { input, dctx, lse, delta: sums, dq, dk, dv };
        let kernel = job.tiling.choose(if of_queries { QUERIES } else { KEYS });
        let grid = job.tiling.grid(tiles.len(), job.input.dims.heads, 2);
        // SAFETY: the sources, lse, dctx and the targets are borrowed, and `Job::new` and the asserts compared them with the heads and the offsets,
        // which bound every tile; delta has a number in f32 for each row, words, kinds and `wide` are as in `attention`, and `tables` lives.
        unsafe { gpu.device().launch(kernel, grid, &params) };
    }
    pool.give(delta);
}

const QUERIES: [[&str; 3]; 2] = [
    ["attention_queries_f32_32", "attention_queries_f32_64", "attention_queries_f32_128"],
    ["attention_queries_bf16_32", "attention_queries_bf16_64", "attention_queries_bf16_128"],
];

const KEYS: [[&str; 3]; 2] = [
    ["attention_keys_f32_32", "attention_keys_f32_64", "attention_keys_f32_128"],
    ["attention_keys_bf16_32", "attention_keys_bf16_64", "attention_keys_bf16_128"],
];

/// `delta = Σ ctx·dctx` over each head of each query.
fn sum_products<D: Device>(gpu: &Gpu<D>, job: &Job<'_, '_, D>, ctx: Ref<'_>, dctx: Ref<'_>, delta: Mut<'_>, wide: u32) {
    let AttentionDims { heads, head_dim } = job.input.dims;
    for (name, len, expected) in [("delta", delta.len, job.rows()), ("dctx", dctx.len, ctx.len)] {
        assert!(len == expected, "attention backward: {name} of {len}, not {expected}");
    }
    let params = DeltaParams {
        ctx: job.by_query(ctx.view),
        dctx: job.by_query(dctx.view),
        delta: delta.view.address_of_f32(),
        queries: job.queries as u64,
        heads: heads as u32,
        head_dim: head_dim as u32,
        wide,
        unused: 0,
    };
    let kernel = if job.tiling.kind == Kind::F32 { "attention_delta_f32" } else { "attention_delta_bf16" };
    // Four lanes for each.
    let grid = Grid::elements(4 * job.rows());
    // SAFETY: ctx, dctx and delta are borrowed; `Job::new` compared ctx with the queries and heads, the loop dctx with ctx and delta with the rows;
    // the kernel is chosen by the kind that `by_query` found in both, and `wide` says what they allow.
    unsafe { gpu.device().launch(kernel, grid, &params) };
}
