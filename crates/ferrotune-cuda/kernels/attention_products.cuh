// The two products of attention, in f32 by multiply-adds and in bf16 on tensor cores, behind the same names: a warp's 16 rows of A·Bᵀ from
// two tiles in shared memory, and its rows of (numbers it holds)·B. Both leave sums as attention.cuh describes. A tile's pitch keeps its rows
// on different banks. The tiles of a block fit 48 KiB, which needs no asking. The sizes have twins in src/launch/attention.rs.
#pragma once
#include "attention.cuh"

// f32, every product exact to rounding.
template <int D> struct PlainTiles {
    typedef float Number;
    static constexpr int WIDTH = D, ROWS = 32, THREADS = 2 * ROWS, COLUMNS = D <= 64 ? 32 : 8, PITCH = D + 4;
    // Weights are exchanged between lanes in shared memory.
    static constexpr int WEIGHTS = COLUMNS + 4, SCRATCH = ROWS * WEIGHTS;

    // sums = a·bᵀ for the first `columns` rows of b, rounded up to whole sums; the others stay.
    static __device__ inline void scores(float (*sums)[4], const float* a, const float* b, u32 columns) {
        const float* own = a + (threadIdx.x / WARP * 16 + patch_row()) * PITCH;
        const float* other = b + patch_column() * PITCH;
        for (int k = 0; k < D; k += 4) {
            float4 upper = *(const float4*)(own + k), lower = *(const float4*)(own + 8 * PITCH + k);
            UNROLL
            for (u32 n = 0; n < COLUMNS / 8; n++) {
                if (8 * n >= columns) break;
                float4 left = *(const float4*)(other + 8 * n * PITCH + k), right = *(const float4*)(other + (8 * n + 1) * PITCH + k);
                sums[n][0] = dot(upper, left, sums[n][0]);
                sums[n][1] = dot(upper, right, sums[n][1]);
                sums[n][2] = dot(lower, left, sums[n][2]);
                sums[n][3] = dot(lower, right, sums[n][3]);
            }
        }
    }

    // sums += weights·b over the first `columns` rows of b.
    static __device__ inline void mix(float (*sums)[4], const float (*weights)[4], const float* b, u32 columns, float* scratch) {
        float* own = scratch + (threadIdx.x / WARP * 16 + patch_row()) * WEIGHTS;
        // The product before has been read.
        __syncwarp();
        UNROLL
        for (u32 n = 0; n < COLUMNS / 8; n++) {
            float2 upper = {weights[n][0], weights[n][1]}, lower = {weights[n][2], weights[n][3]};
            *(float2*)(own + 8 * n + patch_column()) = upper;
            *(float2*)(own + 8 * WEIGHTS + 8 * n + patch_column()) = lower;
        }
        __syncwarp();
        for (u32 k = 0; k < columns; k++) {
            float upper = own[k], lower = own[8 * WEIGHTS + k];
            UNROLL
            for (int n = 0; n < D / 8; n++) {
                float2 x = *(const float2*)(b + k * PITCH + 8 * n + patch_column());
                sums[n][0] = fmaf(upper, x.x, sums[n][0]);
                sums[n][1] = fmaf(upper, x.y, sums[n][1]);
                sums[n][2] = fmaf(lower, x.x, sums[n][2]);
                sums[n][3] = fmaf(lower, x.y, sums[n][3]);
            }
        }
    }

    static __device__ inline float dot(float4 a, float4 b, float sum) {
        return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
    }
};

// bf16 with sums in f32; the weights of the second product are rounded to bf16 too.
template <int D> struct TensorTiles {
    typedef u16 Number;
    static constexpr int WIDTH = D, ROWS = 64, THREADS = 2 * ROWS, COLUMNS = D <= 64 ? 64 : 16, PITCH = D + 8;
    static constexpr int SCRATCH = 0;

    static __device__ inline void scores(float (*sums)[4], const u16* a, const u16* b, u32 columns) {
        u32 lane = threadIdx.x % WARP;
        const u16* own = a + (threadIdx.x / WARP * 16 + lane % 16) * PITCH + lane / 16 * 8;
        const u16* other = b + (lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 8;
        UNROLL
        for (int k = 0; k < D / 16; k++) {
            u32 left[4];
            load_matrices(left, own + 16 * k);
            UNROLL
            for (u32 n = 0; n < COLUMNS / 16; n++) {
                if (16 * n >= columns) break;
                u32 right[4];
                load_matrices(right, other + 16 * n * PITCH + 16 * k);
                mma_bf16(sums[2 * n], left, right);
                mma_bf16(sums[2 * n + 1], left, right + 2);
            }
        }
    }

    // The sums of two neighbouring 16x8 products are the left fragment of the next one, as they lie.
    static __device__ inline void mix(float (*sums)[4], const float (*weights)[4], const u16* b, u32 columns, float*) {
        u32 lane = threadIdx.x % WARP;
        const u16* other = b + lane % 16 * PITCH + lane / 16 * 8;
        UNROLL
        for (u32 k = 0; k < COLUMNS / 16; k++) {
            if (16 * k >= columns) break;
            const float *first = weights[2 * k], *second = weights[2 * k + 1];
            u32 left[4] = {pack_bf16(first[0], first[1]), pack_bf16(first[2], first[3]), pack_bf16(second[0], second[1]),
                           pack_bf16(second[2], second[3])};
            UNROLL
            for (int n = 0; n < D / 16; n++) {
                u32 right[4];
                load_transposed(right, other + 16 * k * PITCH + 16 * n);
                mma_bf16(sums[2 * n], left, right);
                mma_bf16(sums[2 * n + 1], left, right + 2);
            }
        }
    }
};
