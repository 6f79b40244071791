// Means of the rows of each sequence (ferrotune-kernels/src/sequence_means.rs). Twins: src/launch/sequence_means.rs.
#include "common.cuh"

struct SequenceMeansParams {
    View y;
    View x;
    // The first row of each sequence, and the end of the last one.
    u64 offsets;
    u64 width;
};

#define ROWS_AT_ONCE 8

// Blocks in x are sequences, those in y columns: a thread adds one of these in the order of the rows. The sum of no rows is 0.
KERNEL(sequence_means, SequenceMeansParams) {
    u64 column = (u64)blockIdx.y * blockDim.x + threadIdx.x;
    if (column >= p.width) return;
    u32 row = ((const u32*)p.offsets)[blockIdx.x], end = ((const u32*)p.offsets)[blockIdx.x + 1];
    float share = row < end ? 1.0f / (float)(end - row) : 0.0f, sum = 0.0f;
    for (; end - row >= ROWS_AT_ONCE; row += ROWS_AT_ONCE) {
        // Several loads are under way before the first is added.
        float x[ROWS_AT_ONCE];
        UNROLL
        for (u32 i = 0; i < ROWS_AT_ONCE; i++) x[i] = load(p.x, (row + i) * p.width + column);
        UNROLL
        for (u32 i = 0; i < ROWS_AT_ONCE; i++) sum += x[i];
    }
    for (; row < end; row++) sum += load(p.x, row * p.width + column);
    store(p.y, blockIdx.x * p.width + column, sum * share);
}

struct SequenceMeansBackwardParams {
    Target dx;
    View dy;
    u64 offsets;
    u64 width;
};

// Each row gets its share, by the same blocks.
KERNEL(sequence_means_backward, SequenceMeansBackwardParams) {
    u64 column = (u64)blockIdx.y * blockDim.x + threadIdx.x;
    if (column >= p.width) return;
    u32 row = ((const u32*)p.offsets)[blockIdx.x], end = ((const u32*)p.offsets)[blockIdx.x + 1];
    if (row == end) return;
    float dy = load(p.dy, blockIdx.x * p.width + column) * (1.0f / (float)(end - row));
    for (; row < end; row++) put(p.dx, row * p.width + column, dy);
}
