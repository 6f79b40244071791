// One product on tensor cores, every factor on its way through shared memory as the kernels bring them: for the test of layouts (tests/mma.rs).
#include "mma.cuh"

struct MmaCheckParams {
    // bf16: a (16, 16); b (8, 16), one row a column of the factor; the same factor as (16, 8).
    u64 a;
    u64 b_by_columns;
    u64 b_by_rows;
    // f32 (2, 16, 8): a·b + 1 from each way in which b is stored.
    u64 c;
};

// One warp.
KERNEL(mma_check, MmaCheckParams) {
    __shared__ __align__(16) u16 a[16 * 16];
    __shared__ __align__(16) u16 by_columns[16 * 16];
    __shared__ __align__(16) u16 by_rows[16 * 16];
    u32 lane = threadIdx.x;
    for (u32 i = lane; i < 16 * 16; i += WARP) {
        a[i] = ((const u16*)p.a)[i];
        // load_matrices takes four matrices; the two that b has not stay zero.
        by_columns[i] = i < 8 * 16 ? ((const u16*)p.b_by_columns)[i] : (u16)0;
        by_rows[i] = i % 16 < 8 ? ((const u16*)p.b_by_rows)[i / 16 * 8 + i % 16] : (u16)0;
    }
    __syncwarp();
    u32 left[4], right[2][4];
    load_matrices(left, a + lane % 16 * 16 + lane / 16 * 8);
    load_matrices(right[0], by_columns + (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * 8);
    load_transposed(right[1], by_rows + lane % 16 * 16 + lane / 16 * 8);
    for (u32 way = 0; way < 2; way++) {
        float c[4] = {1.0f, 1.0f, 1.0f, 1.0f};
        mma_bf16(c, left, right[way]);
        for (u32 i = 0; i < 4; i++) ((float*)p.c)[way * 128 + (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = c[i];
    }
}
