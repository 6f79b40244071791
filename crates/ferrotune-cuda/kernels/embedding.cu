// Rows of tables, gathered and scattered. Twins: src/launch/embedding.rs.
#include "vector.cuh"

#define TABLES 4

struct Lookup {
    View table;
    u64 ids;
};

struct EmbeddingParams {
    View y;
    Lookup lookups[TABLES];
    u64 rows;
    u32 width;
    u32 tables;
};

// y[t] = Σ table[ids[t]], a warp a row.
template <int W> __device__ inline void embedding(const EmbeddingParams& p) {
    u64 row = (u64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= p.rows) return;
    for (u32 column = threadIdx.x % WARP * W; column < p.width; column += WARP * W) {
        float sum[W] = {};
        UNROLL
        for (u32 t = 0; t < TABLES; t++) {
            if (t < p.tables) {
                float x[W];
                u64 id = ((const u32*)p.lookups[t].ids)[row];
                load_some<W>(x, p.lookups[t].table, id * p.width + column);
                UNROLL
                for (int k = 0; k < W; k++) sum[k] = t == 0 ? x[k] : sum[k] + x[k];
            }
        }
        store_some<W>(p.y, row * p.width + column, sum);
    }
}

KERNEL(embedding_1, EmbeddingParams) { embedding<1>(p); }
KERNEL(embedding_4, EmbeddingParams) { embedding<4>(p); }

// A row of the table and where its positions begin in `order`; they end where those of the next segment begin.
struct Segment {
    u32 row;
    u32 start;
};

struct ScatterParams {
    Target to;
    View dy;
    u64 order;
    u64 segments;
    // Numbers of the segments that a block each takes (scatter_long).
    u64 chosen;
    u32 count;
    u32 width;
    // Segments of more positions are left to scatter_long.
    u32 longest;
    u32 unused;
};

// Σ over positions from..end of columns column..column + W of their rows of dy, in order.
template <int W> __device__ inline void sum_positions(float (&sum)[W], const ScatterParams& p, u32 from, u32 end, u32 column) {
    for (u32 i = from; i < end; i++) {
        float x[W];
        load_some<W>(x, p.dy, (u64)((const u32*)p.order)[i] * p.width + column);
        UNROLL
        for (int k = 0; k < W; k++) sum[k] += x[k];
    }
}

// A warp a segment.
template <int W> __device__ inline void scatter(const ScatterParams& p) {
    u32 number = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (number >= p.count) return;
    const Segment* segment = (const Segment*)p.segments + number;
    u32 from = segment[0].start, end = segment[1].start;
    if (end - from > p.longest) return;
    for (u32 column = threadIdx.x % WARP * W; column < p.width; column += WARP * W) {
        float sum[W] = {};
        sum_positions<W>(sum, p, from, end, column);
        put_some<W>(p.to, (u64)segment->row * p.width + column, sum);
    }
}

KERNEL(scatter_1, ScatterParams) { scatter<1>(p); }
KERNEL(scatter_4, ScatterParams) { scatter<4>(p); }

#define LONG_WARPS 32

// A block for a warp's width of columns of a segment: each warp adds a stretch of positions, and their sums are added in order.
template <int W> __device__ inline void scatter_long(const ScatterParams& p) {
    __shared__ float partial[LONG_WARPS][WARP * W];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const Segment* segment = (const Segment*)p.segments + ((const u32*)p.chosen)[blockIdx.x];
    u64 start = segment[0].start, count = segment[1].start - start;
    u32 from = (u32)(start + count * warp / LONG_WARPS), end = (u32)(start + count * (warp + 1) / LONG_WARPS);
    u32 column = (blockIdx.y * WARP + lane) * W;
    float sum[W] = {};
    if (column < p.width) sum_positions<W>(sum, p, from, end, column);
    UNROLL
    for (int k = 0; k < W; k++) partial[warp][lane * W + k] = sum[k];
    __syncthreads();
    if (warp == 0 && column < p.width) {
        for (int w = 1; w < LONG_WARPS; w++) {
            UNROLL
            for (int k = 0; k < W; k++) sum[k] += partial[w][lane * W + k];
        }
        put_some<W>(p.to, (u64)segment->row * p.width + column, sum);
    }
}

KERNEL(scatter_long_1, ScatterParams) { scatter_long<1>(p); }
KERNEL(scatter_long_4, ScatterParams) { scatter_long<4>(p); }
