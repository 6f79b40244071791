// Forward of ragged attention with an online softmax, after FlashAttention-2 (Dao 2023, https://arxiv.org/abs/2307.08691). Formulas and the mask's
// elements: ferrotune-kernels/src/attention/mod.rs. Twins: src/launch/attention.rs.
#include "attention_products.cuh"

struct AttentionParams {
    AttentionInput in;
    HeadColumns ctx;
    // (heads, queries), f32.
    u64 lse;
};

// Takes the scores of some more keys into the softmax of two rows: they become exp2(score - most) with dropout, in units of 1/log2(e). Returns a bit for each
// that was kept, of up to 32.
template <class Tiles>
__device__ inline u32 soften(float (*scores)[4], float (*out)[4], float most[2], float sum[2], const AttentionInput& in,
                              const MaskRow masks[2], u32 start, u32 columns) {
    u32 kept = 0u;
    UNROLL
    for (int half = 0; half < 2; half++) {
        float top = most[half];
        UNROLL
        for (int i = 0; i < Tiles::COLUMNS / 4; i++) {
            float& score = scores[i / 2][2 * half + i % 2];
            u32 column = 8 * (i / 2) + patch_column() + i % 2;
            score = column < columns ? score * (in.scale * LOG2_E) : NO_SCORE;
            top = fmaxf(top, score);
        }
        top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 1));
        top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 2));
        // As long as a row has seen no key its powers are 0. Every query sees its own key in the end, so that top is finite then or, with scores that are no
        // numbers, everything becomes none.
        float base = top == NO_SCORE ? 0.0f : top;
        float rescale = power_of_two(most[half] - base);
        most[half] = top;
        sum[half] *= rescale;
        UNROLL
        for (int n = 0; n < Tiles::WIDTH / 8; n++) {
            out[n][2 * half] *= rescale;
            out[n][2 * half + 1] *= rescale;
        }
        UNROLL
        for (int i = 0; i < Tiles::COLUMNS / 4; i++) {
            float& score = scores[i / 2][2 * half + i % 2];
            float power = power_of_two(score - base);
            sum[half] += power;
            float scale = keep_scale(in.mask, masks[half], start + 8 * (i / 2) + patch_column() + i % 2);
            if (scale != 0.0f) kept |= 1u << (i / 2 * 4 + 2 * half + i % 2) % 32;
            score = power * scale;
        }
    }
    return kept;
}

template <class Tiles> __device__ inline void attention_forward(const AttentionParams& p) {
    typedef typename Tiles::Number Number;
    DYNAMIC_SHARED(Number, attention_shared);
    Number* q = attention_shared;
    Number* k = q + Tiles::ROWS * Tiles::PITCH;
    Number* v = k + Tiles::COLUMNS * Tiles::PITCH;
    float* scratch = (float*)(v + Tiles::COLUMNS * Tiles::PITCH);
    const AttentionTile tile = ((const AttentionTile*)p.in.tiles)[blockIdx.x];
    u32 rows = tile.queries - tile.first;
    bool busy = threadIdx.x / WARP * 16 < rows;
    load_tile<Tiles, Tiles::ROWS>(q, p.in.q, (u64)tile.query + tile.first, rows, p.in);
    u32 query = tile.first + threadIdx.x / WARP * 16 + patch_row();
    const MaskRow masks[2] = {mask_row(tile, p.in, query), mask_row(tile, p.in, query + 8)};
    float out[Tiles::WIDTH / 8][4] = {};
    float most[2] = {NO_SCORE, NO_SCORE}, sum[2] = {0.0f, 0.0f};
    const Reach keys = reach<Tiles>(p.in, tile.first, rows, tile.keys);
    for (u32 start = keys.from; start < keys.end; start += Tiles::COLUMNS) {
        u32 columns = tile.keys - start;
        // The keys before these have been read.
        __syncthreads();
        load_tile<Tiles, Tiles::COLUMNS>(k, p.in.k, (u64)tile.key + start, columns, p.in);
        load_tile<Tiles, Tiles::COLUMNS>(v, p.in.v, (u64)tile.key + start, columns, p.in);
        __syncthreads();
        if (!busy) continue;
        if (columns > Tiles::COLUMNS) columns = Tiles::COLUMNS;
        float scores[Tiles::COLUMNS / 8][4] = {};
        Tiles::scores(scores, q, k, columns);
        cut_scores<Tiles>(scores, p.in, query - patch_row(), start, columns);
        u32 kept = soften<Tiles>(scores, out, most, sum, p.in, masks, start, columns);
        if (p.in.words) mask_words<Tiles>(p.in, tile, tile.first, start)[threadIdx.x] = kept;
        Tiles::mix(out, scores, v, columns, scratch);
    }
    if (!busy) return;
    float factors[2];
    UNROLL
    for (int half = 0; half < 2; half++) {
        sum[half] += __shfl_xor_sync(ALL_LANES, sum[half], 1);
        sum[half] += __shfl_xor_sync(ALL_LANES, sum[half], 2);
        factors[half] = 1.0f / sum[half];
        u32 row = threadIdx.x / WARP * 16 + patch_row() + 8 * half;
        if (row < rows && patch_column() == 0) {
            float* lse = (float*)p.lse + blockIdx.y * p.in.queries + tile.query + tile.first;
            lse[row] = (most[half] + log2f(sum[half])) * LN_2;
        }
    }
    HeadTarget ctx = {p.ctx, 0.0f, 1u};
    put_rows<Tiles>(ctx, out, factors, (u64)tile.query + tile.first, rows, p.in);
}

KERNEL(attention_f32_32, AttentionParams) { attention_forward<PlainTiles<32>>(p); }
KERNEL(attention_f32_64, AttentionParams) { attention_forward<PlainTiles<64>>(p); }
KERNEL(attention_f32_128, AttentionParams) { attention_forward<PlainTiles<128>>(p); }
KERNEL(attention_bf16_32, AttentionParams) { attention_forward<TensorTiles<32>>(p); }
KERNEL(attention_bf16_64, AttentionParams) { attention_forward<TensorTiles<64>>(p); }
KERNEL(attention_bf16_128, AttentionParams) { attention_forward<TensorTiles<128>>(p); }
