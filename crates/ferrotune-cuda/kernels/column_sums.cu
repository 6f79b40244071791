// Sums of columns in a fixed order: the gradient of a bias, and the last stage of every gradient that is summed over rows. Twins:
// src/launch/column_sums.rs.
#include "vector.cuh"

struct ColumnPartsParams {
    View x;
    u64 sums;
    u64 rows;
    u32 columns;
    u32 rows_of_block;
};

#define SUM_WARPS 8

// First stage: blockIdx.y takes rows_of_block rows, blockIdx.x the columns of a warp, W a lane; sums: one row a blockIdx.y. Each warp adds every
// eighth row, and the eight sums are added in order.
template <int W> __device__ inline void column_parts(const ColumnPartsParams& p) {
    __shared__ float partial[SUM_WARPS][WARP * W];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u32 column = (blockIdx.x * WARP + lane) * W;
    u64 from = (u64)blockIdx.y * p.rows_of_block, end = from + p.rows_of_block;
    if (end > p.rows) end = p.rows;
    float sum[W] = {};
    if (column < p.columns) {
        for (u64 row = from + warp; row < end; row += SUM_WARPS) {
            float x[W];
            load_some<W>(x, p.x, row * p.columns + column);
            UNROLL
            for (int k = 0; k < W; k++) sum[k] += x[k];
        }
    }
    UNROLL
    for (int k = 0; k < W; k++) partial[warp][lane * W + k] = sum[k];
    __syncthreads();
    u32 mine = blockIdx.x * WARP * W + threadIdx.x;
    if (threadIdx.x < WARP * W && mine < p.columns) {
        float total = 0.0f;
        for (int w = 0; w < SUM_WARPS; w++) total += partial[w][threadIdx.x];
        ((float*)p.sums)[(u64)blockIdx.y * p.columns + mine] = total;
    }
}

KERNEL(column_parts_1, ColumnPartsParams) { column_parts<1>(p); }
KERNEL(column_parts_4, ColumnPartsParams) { column_parts<4>(p); }

struct ColumnTotalsParams {
    View x[2];
    Target to[2];
    u32 rows;
    u32 columns;
};

// Second stage: blockIdx.y chooses one of two matrices and its target, blockIdx.x a warp's width of columns.
KERNEL(column_totals, ColumnTotalsParams) {
    __shared__ float partial[SUM_WARPS][WARP];
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u32 column = blockIdx.x * WARP + lane;
    // Not indexed: that would copy the parameters to each thread's memory.
    View x = blockIdx.y == 0 ? p.x[0] : p.x[1];
    Target to = blockIdx.y == 0 ? p.to[0] : p.to[1];
    float sum = 0.0f;
    if (column < p.columns) {
        for (u32 row = warp; row < p.rows; row += SUM_WARPS) sum += load(x, (u64)row * p.columns + column);
    }
    partial[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < p.columns) {
        float total = 0.0f;
        for (int w = 0; w < SUM_WARPS; w++) total += partial[w][lane];
        put(to, column, total);
    }
}
