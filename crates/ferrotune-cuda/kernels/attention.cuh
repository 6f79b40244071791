// What the kernels of attention share: their parameters (twins: src/launch/attention.rs), and the ways between memory and tiles.
//
// A block computes one tile of one head: some rows of its own (queries, or in the backward of keys and values: keys) against the rows of the other
// kind in the same sequence, a tile of columns at a time; with a window, against the tiles that it reaches. A warp owns 16 of the block's rows; its lane l
// holds of every 16x8 sums the numbers in rows l/4 and l/4 + 8, columns 2(l%4) and the next, in f32 as on tensor cores (mma.cuh), so that only the
// products themselves know how numbers are stored.
#pragma once
#include "mma.cuh"

#define LOG2_E 1.44269504f
#define LN_2 0.69314718f
// Minus infinity, of which NVRTC has no name.
#define NO_SCORE __uint_as_float(0xff800000u)

// Rows of a matrix; head h owns head_dim of its columns from h·head_dim on.
struct HeadColumns {
    u64 data;
    // Numbers from row to row.
    u64 stride;
};

// Where the gradient of such columns goes.
struct HeadTarget {
    HeadColumns to;
    float beta;
    u32 wanted;
};

// A tile of a sequence: its rows of q and ctx, its rows of k and v, and the first of its own rows of this block, counted within the sequence. Behind them the
// number of words' blocks before those of this sequence (below).
struct AttentionTile {
    u32 query;
    u32 queries;
    u32 key;
    u32 keys;
    u32 first;
    u32 words;
};

struct AttentionInput {
    Mask mask;
    // One for each block in x.
    u64 tiles;
    HeadColumns q;
    HeadColumns k;
    HeadColumns v;
    // R, rows of q.
    u64 queries;
    // Which probabilities the forward kept, a bit each, so that the backward need not hash again: (heads, word_blocks, THREADS) words. A block of words is
    // one tile of queries by one of keys, and word t holds what thread t of the forward has of it: bit 4n + i for sums[n][i]. 0 where nothing is kept.
    u64 words;
    u32 heads;
    u32 head_dim;
    // Above 0.
    float scale;
    // Whether every row of every matrix begins at 16 bytes and is a multiple of them.
    u32 wide;
    u32 word_blocks;
    // Tokens that a query sees to either side, at most 2^30, which is as long as a sequence may be.
    u32 window;
};

// The tiles of the other kind that begin before row `end`, of which the first begins at `from`.
struct Reach {
    u32 from;
    u32 end;
};

// Those of `others` rows that a block visits whose own rows are `rows` from `first` on, as far as they fit a tile. Tiles begin where they do without a
// window, so that the mask's words (below) keep their places, and one is visited if and only if it has a row that a row of the block sees or is seen by: the
// forward has written what the backward reads, whichever of the two kinds a block owns there. There may be none.
template <class Tiles> __device__ inline Reach reach(const AttentionInput& in, u32 first, u32 rows, u32 others) {
    u32 from = first > in.window ? first - in.window : 0u;
    u32 end = first + (rows < Tiles::ROWS ? rows : Tiles::ROWS) + in.window;
    if (from >= others) end = 0u;
    Reach reach = {from / Tiles::COLUMNS * Tiles::COLUMNS, end < others ? end : others};
    return reach;
}

// Whether a query sees a key, both counted within their sequence, or the other way round.
__device__ inline bool sees(const AttentionInput& in, u32 query, u32 key) { return query - key + in.window <= 2 * in.window; }

// The two numbers that a lane holds of a row: the first is in column 8n + column() of the head.
__device__ inline u32 patch_row() { return threadIdx.x % WARP / 4; }
__device__ inline u32 patch_column() { return threadIdx.x % 4 * 2; }

// Leaves no score where the window cuts the warp's 16 rows from `row` on off from columns from `start` on, counted within the sequence. Where all rows see all
// columns, as in most tiles of a wide window and in all without one, nobody asks for each.
template <class Tiles> __device__ inline void cut_scores(float (*scores)[4], const AttentionInput& in, u32 row, u32 start, u32 columns) {
    if (sees(in, row, start + columns - 1) && sees(in, row + 15, start)) return;
    UNROLL
    for (int n = 0; n < Tiles::COLUMNS / 8; n++) {
        UNROLL
        for (int i = 0; i < 4; i++) {
            if (!sees(in, row + patch_row() + i / 2 * 8, start + 8 * n + patch_column() + i % 2)) scores[n][i] = NO_SCORE;
        }
    }
}

__device__ inline float number(float x) { return x; }
__device__ inline float number(u16 x) { return from_bf16(x); }
__device__ inline void set(float* to, float x) { *to = x; }
__device__ inline void set(u16* to, float x) { *to = to_bf16(x); }

// Rows first.. of a head into shared memory, `count` of ROWS; the rest of the tile, below and to the right, is 0.
template <class Tiles, int ROWS>
__device__ inline void load_tile(typename Tiles::Number* to, const HeadColumns& from, u64 first, u32 count, const AttentionInput& in) {
    typedef typename Tiles::Number Number;
    const Number* data = (const Number*)from.data + first * from.stride + blockIdx.y * in.head_dim;
    if (in.wide) {
        // Several loads are under way before the first is stored.
        constexpr u32 CHUNK = 16 / sizeof(Number), CHUNKS = Tiles::WIDTH / CHUNK, STEPS = ROWS * CHUNKS / Tiles::THREADS;
        constexpr u32 BATCH = STEPS < 4 ? STEPS : 4;
        static_assert(ROWS * CHUNKS % Tiles::THREADS == 0 && STEPS % BATCH == 0, "whole batches");
        UNROLL
        for (u32 batch = 0; batch < STEPS; batch += BATCH) {
            uint4 x[BATCH];
            UNROLL
            for (u32 j = 0; j < BATCH; j++) {
                u32 i = threadIdx.x + (batch + j) * Tiles::THREADS, row = i / CHUNKS, column = i % CHUNKS * CHUNK;
                x[j] = uint4{0u, 0u, 0u, 0u};
                if (row < count && column < in.head_dim) x[j] = *(const uint4*)(data + row * from.stride + column);
            }
            UNROLL
            for (u32 j = 0; j < BATCH; j++) {
                u32 i = threadIdx.x + (batch + j) * Tiles::THREADS;
                *(uint4*)(to + i / CHUNKS * Tiles::PITCH + i % CHUNKS * CHUNK) = x[j];
            }
        }
    } else {
        for (u32 i = threadIdx.x; i < ROWS * Tiles::WIDTH; i += Tiles::THREADS) {
            u32 row = i / Tiles::WIDTH, column = i % Tiles::WIDTH;
            bool inside = row < count && column < in.head_dim;
            to[row * Tiles::PITCH + column] = inside ? data[row * from.stride + column] : (Number)0;
        }
    }
}

__device__ inline void put_number(float* to, float x, float beta) { *to = beta == 0.0f ? x : *to + x; }
__device__ inline void put_number(u16* to, float x, float beta) { *to = to_bf16(beta == 0.0f ? x : from_bf16(*to) + x); }

// Two numbers at an address that both together fill.
__device__ inline void put_pair(float* to, float first, float second, float beta) {
    float2 old = {0.0f, 0.0f};
    if (beta != 0.0f) old = *(const float2*)to;
    float2 sum = {old.x + first, old.y + second};
    *(float2*)to = sum;
}
__device__ inline void put_pair(u16* to, float first, float second, float beta) {
    u32 old = beta == 0.0f ? 0u : *(const u32*)to;
    *(u32*)to = pack_bf16(from_bf16((u16)old) + first, from_bf16((u16)(old >> 16)) + second);
}

// The warp's 16 rows of sums, each times its factor, go to rows first.. of a head; the block has `count` rows.
template <class Tiles>
__device__ inline void put_rows(const HeadTarget& target, const float (*sums)[4], const float factors[2], u64 first, u32 count,
                                const AttentionInput& in) {
    typedef typename Tiles::Number Number;
    Number* data = (Number*)target.to.data + first * target.to.stride + blockIdx.y * in.head_dim;
    UNROLL
    for (int half = 0; half < 2; half++) {
        u32 row = threadIdx.x / WARP * 16 + patch_row() + 8 * half;
        if (row >= count) continue;
        Number* to = data + row * target.to.stride;
        UNROLL
        for (int n = 0; n < Tiles::WIDTH / 8; n++) {
            u32 column = 8 * n + patch_column();
            float x = sums[n][2 * half] * factors[half], y = sums[n][2 * half + 1] * factors[half];
            if (in.wide) {
                if (column < in.head_dim) put_pair(to + column, x, y, target.beta);
            } else {
                if (column < in.head_dim) put_number(to + column, x, target.beta);
                if (column + 1 < in.head_dim) put_number(to + column + 1, y, target.beta);
            }
        }
    }
}

// The dropout of one query's row of probabilities: keep_scale with the hash of the element's upper word taken out of the loop over keys.
struct MaskRow {
    // The lower word of the row's first element, and the hashes of the upper word before and after the lower one overflows.
    u32 low;
    u32 high;
    u32 next;
};

// Of a query counted within its sequence. Its elements: ferrotune-kernels/src/attention/mod.rs.
__device__ inline MaskRow mask_row(const AttentionTile& tile, const AttentionInput& in, u32 query) {
    u64 element = in.mask.start + ((((u64)tile.key + query) * in.heads + blockIdx.y) << 17);
    u32 high = (u32)(element >> 32);
    MaskRow row = {(u32)element, finalize(high ^ in.mask.high_key), finalize((high + 1u) ^ in.mask.high_key)};
    return row;
}

// The key is counted within the sequence, and less than 2^17.
__device__ inline float keep_scale(const Mask& mask, const MaskRow& row, u32 key) {
    if (mask.threshold == 0u) return 1.0f;
    u32 low = row.low + key;
    u32 bits = finalize(finalize(low ^ mask.low_key) + (low < row.low ? row.next : row.high));
    return bits >= mask.threshold ? mask.scale : 0.0f;
}

// The words of the tile of queries from `query` on by the tile of keys from `key` on, both counted within the sequence.
template <class Tiles>
__device__ inline u32* mask_words(const AttentionInput& in, const AttentionTile& tile, u32 query, u32 key) {
    u32 tiles_of_keys = (tile.keys + Tiles::COLUMNS - 1) / Tiles::COLUMNS;
    u64 block = tile.words + query / Tiles::ROWS * tiles_of_keys + key / Tiles::COLUMNS;
    return (u32*)in.words + ((u64)blockIdx.y * in.word_blocks + block) * Tiles::THREADS;
}

__device__ inline float scale_of_bit(const Mask& mask, u32 word, u32 bit) { return word >> bit & 1u ? mask.scale : 0.0f; }
