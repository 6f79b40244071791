// Residual + dropout + layer norm, a warp a row: z = residual + x·mask, y = (z − mean)·rstd·gamma + bias, if there is a bias. The row stays in registers
// (in shared memory where it is long or its width is odd), so mean and variance take two passes as on the CPU and memory is read once. Twins:
// src/launch/add_norm.rs.
#include "vector.cuh"

// W numbers at columns (part·32 + lane)·W for each part: a lane's share of a row of up to 32·W·PARTS numbers.
template <int WIDE, int PARTS> struct InRegisters {
    static const int W = WIDE;
    static const bool KEEPS_MASK = true;
    typedef float Part[WIDE];
    Part held[PARTS];
    // A bit for each number that the mask kept.
    u32 kept;
    __device__ InRegisters(float*, u32, u32) {}
    __device__ u32 parts() const { return PARTS; }
    __device__ Part& operator[](u32 part) { return held[part]; }
};

// The same for a row of any width, number `slot` of those that a block of one warp keeps in shared memory. Each lane reads what it wrote.
struct InShared {
    static const int W = 1;
    static const bool KEEPS_MASK = false;
    typedef float Part[1];
    u32 kept;
    float* row;
    u32 count;
    __device__ InShared(float* shared, u32 width, u32 slot) : count((width + WARP - 1) / WARP) { row = shared + slot * count * WARP; }
    __device__ u32 parts() const { return count; }
    __device__ Part& operator[](u32 part) { return *(Part*)(row + part * WARP + threadIdx.x % WARP); }
};

template <int W> __device__ inline u32 column_of(u32 part) { return (part * WARP + threadIdx.x % WARP) * W; }

// Row of x → the mask's element at its start; with mask_rows, row r takes row mask_rows[r] of the mask.
__device__ inline u64 first_element(u64 mask_rows, u64 row, u32 width) {
    return (mask_rows ? (u64)((const u32*)mask_rows)[row] : row) * width;
}

// z = residual + x·mask for the row that starts at number `at`, whose mask starts at `element`; 0 beyond the width.
template <class Row>
__device__ inline void join(Row& z, const View& x, const View& residual, const Mask& mask, u64 at, u64 element, u32 width) {
    const int W = Row::W;
    z.kept = mask.threshold == 0u ? 0xffffffffu : 0u;
    UNROLL
    for (u32 i = 0; i < z.parts(); i++) {
        u32 column = column_of<W>(i);
        if (column < width) {
            load_some<W>(z[i], x, at + column);
            if (mask.threshold != 0u) {
                UNROLL
                for (int k = 0; k < W; k++) {
                    float scale = keep_scale(mask, element + column + k);
                    if (Row::KEEPS_MASK && scale != 0.0f) z.kept |= 1u << (i * W + k) % 32;
                    z[i][k] *= scale;
                }
            }
            if (residual.data) {
                float other[W];
                load_some<W>(other, residual, at + column);
                UNROLL
                for (int k = 0; k < W; k++) z[i][k] += other[k];
            }
        } else {
            UNROLL
            for (int k = 0; k < W; k++) z[i][k] = 0.0f;
        }
    }
}

struct AddNormParams {
    View y;
    View mean;
    View rstd;
    View x;
    View residual;
    View gamma;
    View bias;
    Mask mask;
    u64 mask_rows;
    u64 rows;
    u32 width;
    float eps;
};

template <class Row> __device__ inline void add_norm(const AddNormParams& p, float* shared) {
    const int W = Row::W;
    u64 row = (u64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= p.rows) return;
    u64 at = row * p.width;
    Row z(shared, p.width, 0);
    join(z, p.x, p.residual, p.mask, at, first_element(p.mask_rows, row, p.width), p.width);
    float sum = 0.0f;
    UNROLL
    for (u32 i = 0; i < z.parts(); i++) {
        UNROLL
        for (int k = 0; k < W; k++) sum += z[i][k];
    }
    float mean = warp_sum(sum) / (float)p.width;
    float squares = 0.0f;
    UNROLL
    for (u32 i = 0; i < z.parts(); i++) {
        if (column_of<W>(i) < p.width) {
            UNROLL
            for (int k = 0; k < W; k++) {
                z[i][k] -= mean;
                squares = fmaf(z[i][k], z[i][k], squares);
            }
        }
    }
    float rstd = 1.0f / sqrtf(warp_sum(squares) / (float)p.width + p.eps);
    UNROLL
    for (u32 i = 0; i < z.parts(); i++) {
        u32 column = column_of<W>(i);
        if (column < p.width) {
            float gamma[W], bias[W] = {}, y[W];
            load_some<W>(gamma, p.gamma, column);
            if (p.bias.data) load_some<W>(bias, p.bias, column);
            UNROLL
            for (int k = 0; k < W; k++) y[k] = fmaf(z[i][k] * rstd, gamma[k], bias[k]);
            store_some<W>(p.y, at + column, y);
        }
    }
    if (threadIdx.x % WARP == 0) {
        store(p.mean, row, mean);
        store(p.rstd, row, rstd);
    }
}

KERNEL(add_norm_512, AddNormParams) { add_norm<InRegisters<4, 4>>(p, 0); }
KERNEL(add_norm_1024, AddNormParams) { add_norm<InRegisters<4, 8>>(p, 0); }
KERNEL(add_norm_any, AddNormParams) {
    DYNAMIC_SHARED(float, shared);
    add_norm<InShared>(p, shared);
}

struct AddNormBackwardParams {
    Target dx;
    Target dresidual;
    View dy;
    View x;
    View residual;
    View gamma;
    View mean;
    View rstd;
    Mask mask;
    u64 mask_rows;
    // Sums of each block for dgamma, (gridDim.x, width), and behind them those for dbias; 0 if nobody wants either.
    u64 sums;
    u64 rows;
    u32 width;
    u32 unused;
};

// Adds what the warps of a block have summed, in their order; `area` has room for a row a warp.
template <class Row> __device__ inline void add_up(Row& sum, float* area, float* to, u32 width) {
    const int W = Row::W;
    u32 warp = threadIdx.x / WARP;
    UNROLL
    for (u32 i = 0; i < sum.parts(); i++) {
        u32 column = column_of<W>(i);
        if (column < width) {
            UNROLL
            for (int k = 0; k < W; k++) area[warp * width + column + k] = sum[i][k];
        }
    }
    __syncthreads();
    for (u32 column = threadIdx.x; column < width; column += blockDim.x) {
        float total = 0.0f;
        for (u32 w = 0; w < blockDim.x / WARP; w++) total += area[w * width + column];
        to[column] = total;
    }
    __syncthreads();
}

// Each warp takes the rows that are its number modulo the number of warps, and keeps their sums for dgamma and dbias. `area`: see add_up.
template <class Row> __device__ inline void add_norm_backward(const AddNormBackwardParams& p, float* shared, float* area) {
    const int W = Row::W;
    Row z(shared, p.width, 0), sum_gamma(shared, p.width, 1), sum_bias(shared, p.width, 2);
    UNROLL
    for (u32 i = 0; i < z.parts(); i++) {
        UNROLL
        for (int k = 0; k < W; k++) sum_gamma[i][k] = sum_bias[i][k] = 0.0f;
    }
    u32 warps = blockDim.x / WARP;
    for (u64 row = (u64)blockIdx.x * warps + threadIdx.x / WARP; row < p.rows; row += (u64)gridDim.x * warps) {
        u64 at = row * p.width, element = first_element(p.mask_rows, row, p.width);
        join(z, p.x, p.residual, p.mask, at, element, p.width);
        float mean = load(p.mean, row), rstd = load(p.rstd, row), sum_g = 0.0f, sum_gz = 0.0f;
        UNROLL
        for (u32 i = 0; i < z.parts(); i++) {
            u32 column = column_of<W>(i);
            if (column < p.width) {
                float dy[W], gamma[W];
                load_some<W>(dy, p.dy, at + column);
                load_some<W>(gamma, p.gamma, column);
                UNROLL
                for (int k = 0; k < W; k++) {
                    z[i][k] = (z[i][k] - mean) * rstd;
                    sum_gamma[i][k] = fmaf(dy[k], z[i][k], sum_gamma[i][k]);
                    sum_bias[i][k] += dy[k];
                    sum_g = fmaf(dy[k], gamma[k], sum_g);
                    sum_gz = fmaf(dy[k] * gamma[k], z[i][k], sum_gz);
                }
            }
        }
        float mean_g = warp_sum(sum_g) / (float)p.width, mean_gz = warp_sum(sum_gz) / (float)p.width;
        if (!p.dx.wanted && !p.dresidual.wanted) continue;
        UNROLL
        for (u32 i = 0; i < z.parts(); i++) {
            u32 column = column_of<W>(i);
            if (column < p.width) {
                // dy comes out of the cache: registers are scarcer.
                float dy[W], gamma[W], dz[W];
                load_some<W>(dy, p.dy, at + column);
                load_some<W>(gamma, p.gamma, column);
                UNROLL
                for (int k = 0; k < W; k++) dz[k] = rstd * fmaf(-z[i][k], mean_gz, fmaf(dy[k], gamma[k], -mean_g));
                if (p.dresidual.wanted) put_some<W>(p.dresidual, at + column, dz);
                if (p.dx.wanted) {
                    UNROLL
                    for (int k = 0; k < W; k++) {
                        bool is_kept = z.kept >> (i * W + k) % 32 & 1u;
                        dz[k] *= Row::KEEPS_MASK ? (is_kept ? p.mask.scale : 0.0f) : keep_scale(p.mask, element + column + k);
                    }
                    put_some<W>(p.dx, at + column, dz);
                }
            }
        }
    }
    if (p.sums) {
        float* of_gamma = (float*)p.sums + (u64)blockIdx.x * p.width;
        add_up(sum_gamma, area, of_gamma, p.width);
        add_up(sum_bias, area, of_gamma + (u64)gridDim.x * p.width, p.width);
    }
}

KERNEL(add_norm_backward_384, AddNormBackwardParams) {
    DYNAMIC_SHARED(float, shared);
    add_norm_backward<InRegisters<4, 3>>(p, shared, shared);
}
KERNEL(add_norm_backward_512, AddNormBackwardParams) {
    DYNAMIC_SHARED(float, shared);
    add_norm_backward<InRegisters<4, 4>>(p, shared, shared);
}
KERNEL(add_norm_backward_768, AddNormBackwardParams) {
    DYNAMIC_SHARED(float, shared);
    add_norm_backward<InRegisters<4, 6>>(p, shared, shared);
}
KERNEL(add_norm_backward_1024, AddNormBackwardParams) {
    DYNAMIC_SHARED(float, shared);
    add_norm_backward<InRegisters<4, 8>>(p, shared, shared);
}
KERNEL(add_norm_backward_any, AddNormBackwardParams) {
    DYNAMIC_SHARED(float, shared);
    add_norm_backward<InShared>(p, shared, shared + 3 * ((p.width + WARP - 1) / WARP) * WARP);
}
