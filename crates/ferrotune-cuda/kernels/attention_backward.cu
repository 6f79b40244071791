// Backward of ragged attention: probabilities are computed again from lse. With g = dctx·vᵀ, the dropout z and delta = rowsum(dctx·ctx):
// ds = p·(z·g - delta), dq = scale·ds·k, dk = scale·dsᵀ·q, dv = (z·p)ᵀ·dctx (ferrotune-kernels/src/attention/backward.rs). One kernel's
// blocks own queries and give dq, the other's own keys and give dk and dv: every number is one block's sum in a fixed order. Twins:
// src/launch/attention.rs.
#include "attention_products.cuh"

struct AttentionDeltaParams {
    HeadColumns ctx;
    HeadColumns dctx;
    // (heads, queries), f32.
    u64 delta;
    u64 queries;
    u32 heads;
    u32 head_dim;
    u32 wide;
    u32 unused;
};

// Four neighbouring lanes take one head of one query, neighbouring heads lie side by side.
template <class Number> __device__ inline void attention_delta(const AttentionDeltaParams& p) {
    u64 item = global_index() / 4, query = item / p.heads;
    u32 head = (u32)(item % p.heads), part = threadIdx.x % 4;
    bool inside = query < p.queries;
    float sum = 0.0f;
    if (inside) {
        const Number* ctx = (const Number*)p.ctx.data + query * p.ctx.stride + head * p.head_dim;
        const Number* dctx = (const Number*)p.dctx.data + query * p.dctx.stride + head * p.head_dim;
        if (p.wide) {
            const u32 CHUNK = 16 / sizeof(Number);
            for (u32 i = part * CHUNK; i < p.head_dim; i += 4 * CHUNK) {
                __align__(16) Number a[CHUNK], b[CHUNK];
                *(uint4*)a = *(const uint4*)(ctx + i);
                *(uint4*)b = *(const uint4*)(dctx + i);
                UNROLL
                for (u32 j = 0; j < CHUNK; j++) sum = fmaf(number(a[j]), number(b[j]), sum);
            }
        } else {
            for (u32 i = part; i < p.head_dim; i += 4) sum = fmaf(number(ctx[i]), number(dctx[i]), sum);
        }
    }
    sum += __shfl_xor_sync(ALL_LANES, sum, 1);
    sum += __shfl_xor_sync(ALL_LANES, sum, 2);
    if (inside && part == 0) ((float*)p.delta)[head * p.queries + query] = sum;
}

KERNEL(attention_delta_f32, AttentionDeltaParams) { attention_delta<float>(p); }
KERNEL(attention_delta_bf16, AttentionDeltaParams) { attention_delta<u16>(p); }

struct AttentionBackwardParams {
    AttentionInput in;
    HeadColumns dctx;
    // (heads, queries), f32.
    u64 lse;
    u64 delta;
    HeadTarget dq;
    HeadTarget dk;
    HeadTarget dv;
};

// What is known of a query and head; lse in units of 1/log2(e).
struct QueryStatistics {
    float lse;
    float delta;
    MaskRow mask;
};

// Of a query counted within its sequence.
__device__ inline QueryStatistics query_statistics(const AttentionBackwardParams& p, const AttentionTile& tile, u32 query) {
    u64 at = blockIdx.y * p.in.queries + tile.query + query;
    QueryStatistics known = {((const float*)p.lse)[at] * LOG2_E, ((const float*)p.delta)[at], mask_row(tile, p.in, query)};
    return known;
}

// The words of a tile, as a lane needs them: its own where the block owns queries, and all of the tile in shared memory where it owns keys.
struct KeptBits {
    u32 own;
    const u32* all;
};

// The mask of sums[n][i]. Where the block owns keys, the roles of rows and columns are exchanged: the lane's column is a query, of which the forward held
// 16 a warp, eight a step of four lanes, and its row is a key, of which it held two a lane.
template <bool OWNS_QUERIES> __device__ inline float kept_scale(const Mask& mask, const KeptBits& kept, int n, int i) {
    if (OWNS_QUERIES) return scale_of_bit(mask, kept.own, 4 * n + i);
    u32 word = kept.all[n / 2 * WARP + (patch_column() + i % 2) * 4 + patch_row() / 2];
    return scale_of_bit(mask, word, (threadIdx.x / WARP * 2 + i / 2) * 4 + n % 2 * 2 + patch_row() % 2);
}

// From q·k and g of the warp's rows and some columns to ds, and z·p in the place of g. The statistics are those of the lane's queries: of
// its two rows, or where the block owns keys of all columns.
template <class Tiles, bool OWNS_QUERIES>
__device__ inline void score_gradients(float (*scores)[4], float (*g)[4], const QueryStatistics* statistics, const AttentionInput& in,
                                       const KeptBits& kept, u32 first, u32 start, u32 columns) {
    UNROLL
    for (int n = 0; n < Tiles::COLUMNS / 8; n++) {
        UNROLL
        for (int i = 0; i < 4; i++) {
            u32 row = threadIdx.x / WARP * 16 + patch_row() + i / 2 * 8, column = 8 * n + patch_column() + i % 2;
            if (column >= columns) {
                scores[n][i] = g[n][i] = 0.0f;
                continue;
            }
            const QueryStatistics& query = statistics[OWNS_QUERIES ? i / 2 : column];
            float p = power_of_two(fmaf(scores[n][i], in.scale * LOG2_E, -query.lse));
            float z = in.words ? kept_scale<OWNS_QUERIES>(in.mask, kept, n, i)
                               : keep_scale(in.mask, query.mask, OWNS_QUERIES ? start + column : first + row);
            scores[n][i] = p * (z * g[n][i] - query.delta);
            g[n][i] = z * p;
        }
    }
}

template <class Tiles, bool OWNS_QUERIES> __device__ inline void attention_backward(const AttentionBackwardParams& p) {
    typedef typename Tiles::Number Number;
    DYNAMIC_SHARED(Number, attention_shared);
    // q and dctx of queries, or k and v of keys; first the block's own.
    Number* own[2] = {attention_shared, attention_shared + Tiles::ROWS * Tiles::PITCH};
    Number* other[2] = {own[1] + Tiles::ROWS * Tiles::PITCH, own[1] + (Tiles::ROWS + Tiles::COLUMNS) * Tiles::PITCH};
    float* scratch = (float*)(other[1] + Tiles::COLUMNS * Tiles::PITCH);
    QueryStatistics* of_columns = (QueryStatistics*)(scratch + Tiles::SCRATCH);
    u32* of_tile = (u32*)(of_columns + Tiles::COLUMNS);
    const AttentionTile tile = ((const AttentionTile*)p.in.tiles)[blockIdx.x];
    u32 rows = (OWNS_QUERIES ? tile.queries : tile.keys) - tile.first, others = OWNS_QUERIES ? tile.keys : tile.queries;
    u64 first = (u64)(OWNS_QUERIES ? tile.query : tile.key) + tile.first, first_other = OWNS_QUERIES ? tile.key : tile.query;
    bool busy = threadIdx.x / WARP * 16 < rows;
    load_tile<Tiles, Tiles::ROWS>(own[0], OWNS_QUERIES ? p.in.q : p.in.k, first, rows, p.in);
    load_tile<Tiles, Tiles::ROWS>(own[1], OWNS_QUERIES ? p.dctx : p.in.v, first, rows, p.in);
    QueryStatistics of_rows[2] = {};
    if (OWNS_QUERIES) {
        UNROLL
        for (int half = 0; half < 2; half++) {
            u32 row = threadIdx.x / WARP * 16 + patch_row() + 8 * half;
            if (row < rows) of_rows[half] = query_statistics(p, tile, tile.first + row);
        }
    }
    // ds times the other's first matrix: dq or dk. Weights times its second: dv.
    float by_scores[Tiles::WIDTH / 8][4] = {}, by_weights[Tiles::WIDTH / 8][4] = {};
    const Reach visited = reach<Tiles>(p.in, tile.first, rows, others);
    for (u32 start = visited.from; start < visited.end; start += Tiles::COLUMNS) {
        u32 columns = others - start;
        // The tiles before these have been read.
        __syncthreads();
        load_tile<Tiles, Tiles::COLUMNS>(other[0], OWNS_QUERIES ? p.in.k : p.in.q, first_other + start, columns, p.in);
        load_tile<Tiles, Tiles::COLUMNS>(other[1], OWNS_QUERIES ? p.in.v : p.dctx, first_other + start, columns, p.in);
        if (columns > Tiles::COLUMNS) columns = Tiles::COLUMNS;
        KeptBits kept = {0u, of_tile};
        if (p.in.words) {
            u32 word = mask_words<Tiles>(p.in, tile, OWNS_QUERIES ? tile.first : start, OWNS_QUERIES ? start : tile.first)[threadIdx.x];
            if (OWNS_QUERIES) kept.own = word;
            else of_tile[threadIdx.x] = word;
        }
        if (!OWNS_QUERIES && threadIdx.x < columns) of_columns[threadIdx.x] = query_statistics(p, tile, start + threadIdx.x);
        __syncthreads();
        if (!busy) continue;
        float scores[Tiles::COLUMNS / 8][4] = {}, g[Tiles::COLUMNS / 8][4] = {};
        Tiles::scores(scores, own[0], other[0], columns);
        cut_scores<Tiles>(scores, p.in, tile.first + threadIdx.x / WARP * 16, start, columns);
        Tiles::scores(g, own[1], other[1], columns);
        score_gradients<Tiles, OWNS_QUERIES>(scores, g, OWNS_QUERIES ? of_rows : of_columns, p.in, kept, tile.first, start,
                                             columns);
        if (OWNS_QUERIES || p.dk.wanted) Tiles::mix(by_scores, scores, other[0], columns, scratch);
        if (!OWNS_QUERIES && p.dv.wanted) Tiles::mix(by_weights, g, other[1], columns, scratch);
    }
    if (!busy) return;
    float scale[2] = {p.in.scale, p.in.scale}, one[2] = {1.0f, 1.0f};
    if (OWNS_QUERIES) {
        put_rows<Tiles>(p.dq, by_scores, scale, first, rows, p.in);
    } else {
        if (p.dk.wanted) put_rows<Tiles>(p.dk, by_scores, scale, first, rows, p.in);
        if (p.dv.wanted) put_rows<Tiles>(p.dv, by_weights, one, first, rows, p.in);
    }
}

KERNEL(attention_queries_f32_32, AttentionBackwardParams) { attention_backward<PlainTiles<32>, true>(p); }
KERNEL(attention_queries_f32_64, AttentionBackwardParams) { attention_backward<PlainTiles<64>, true>(p); }
KERNEL(attention_queries_f32_128, AttentionBackwardParams) { attention_backward<PlainTiles<128>, true>(p); }
KERNEL(attention_queries_bf16_32, AttentionBackwardParams) { attention_backward<TensorTiles<32>, true>(p); }
KERNEL(attention_queries_bf16_64, AttentionBackwardParams) { attention_backward<TensorTiles<64>, true>(p); }
KERNEL(attention_queries_bf16_128, AttentionBackwardParams) { attention_backward<TensorTiles<128>, true>(p); }
KERNEL(attention_keys_f32_32, AttentionBackwardParams) { attention_backward<PlainTiles<32>, false>(p); }
KERNEL(attention_keys_f32_64, AttentionBackwardParams) { attention_backward<PlainTiles<64>, false>(p); }
KERNEL(attention_keys_f32_128, AttentionBackwardParams) { attention_backward<PlainTiles<128>, false>(p); }
KERNEL(attention_keys_bf16_32, AttentionBackwardParams) { attention_backward<TensorTiles<32>, false>(p); }
KERNEL(attention_keys_bf16_64, AttentionBackwardParams) { attention_backward<TensorTiles<64>, false>(p); }
KERNEL(attention_keys_bf16_128, AttentionBackwardParams) { attention_backward<TensorTiles<128>, false>(p); }
