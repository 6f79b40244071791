// Sums to one number, and numbers that stay on the device. Twins: src/launch/reduce.rs.
#include "common.cuh"
#include "four.cuh"

// Σ f(a, b) over every stride-th element from the first, four at a time where memory is aligned; `b` may be none.
template <class F>
__device__ inline double sum_terms(const View& a, const View& b, u64 len, bool aligned, u64 first, u64 stride, F f) {
    double sum = 0.0;
    u64 fours = aligned ? len / 4 : 0;
    for (u64 i = first; i < fours; i += stride) {
        Four x = load_four(a, 4 * i);
        Four y = b.data ? load_four(b, 4 * i) : x;
        UNROLL
        for (int j = 0; j < 4; j++) sum += f((double)x.x[j], (double)y.x[j]);
    }
    for (u64 i = 4 * fours + first; i < len; i += stride) {
        float x = load(a, i);
        sum += f((double)x, (double)(b.data ? load(b, i) : x));
    }
    return sum;
}

__device__ inline void store_partial(u64 partials, double sum) {
    __shared__ double of_warps[WARP];
    sum = block_sum_f64(sum, of_warps);
    if (threadIdx.x == 0) ((double*)partials)[blockIdx.x] = sum;
}

struct SumParams {
    View a;
    View b;
    u64 partials;
    u64 len;
    double k1;
    double k2;
    u32 aligned;
    u32 unused;
};

template <class F> __device__ inline void reduce(const SumParams& p, F f) {
    u64 threads = (u64)gridDim.x * blockDim.x;
    store_partial(p.partials, sum_terms(p.a, p.b, p.len, p.aligned, global_index(), threads, f));
}

// Σ a
KERNEL(sum_partial, SumParams) {
    reduce(p, [](double a, double) { return a; });
}

// Σ k1·|a| + k2·a²
KERNEL(penalty_partial, SumParams) {
    reduce(p, [&](double a, double) { return (p.k1 + p.k2 * fabs(a)) * fabs(a); });
}

// Σ (a - b)²
KERNEL(anchor_partial, SumParams) {
    reduce(p, [](double a, double b) { return (a - b) * (a - b); });
}

struct Chunk {
    u64 data;
    u32 len;
    u32 is_bf16;
};

struct SquaresParams {
    u64 chunks;
    u64 partials;
};

// Σ x² of one chunk a block
KERNEL(squares_partial, SquaresParams) {
    Chunk chunk = ((const Chunk*)p.chunks)[blockIdx.x];
    View x = {chunk.data, 0, chunk.is_bf16, 0}, none = {0, 0, 0, 0};
    bool aligned = chunk.data % 16 == 0;
    auto square = [](double a, double) { return a * a; };
    store_partial(p.partials, sum_terms(x, none, chunk.len, aligned, threadIdx.x, blockDim.x, square));
}

struct FinishParams {
    u64 partials;
    u64 count;
    // Where the result goes: a number in f64, or the first element of y.
    u64 scalar;
    View y;
    double k;
    u32 root;
    u32 unused;
};

// k·Σ partials, or its root; one block
KERNEL(reduce_finish, FinishParams) {
    __shared__ double of_warps[WARP];
    double sum = 0.0;
    for (u64 i = threadIdx.x; i < p.count; i += blockDim.x) sum += ((const double*)p.partials)[i];
    sum = p.k * block_sum_f64(sum, of_warps);
    if (p.root) sum = sqrt(sum);
    if (threadIdx.x != 0) return;
    if (p.scalar) {
        *(double*)p.scalar = sum;
    } else {
        store(p.y, 0, (float)sum);
    }
}

struct ScalarParams {
    u64 scalar;
    View x;
};

// The first element
KERNEL(to_scalar, ScalarParams) {
    if (threadIdx.x == 0) *(double*)p.scalar = (double)load(p.x, 0);
}

struct TotalParams {
    u64 scalar;
    // Addresses.
    u64 numbers;
    u64 count;
};

// Σ numbers, in order; they are few
KERNEL(total_scalars, TotalParams) {
    if (threadIdx.x != 0) return;
    double sum = 0.0;
    for (u64 i = 0; i < p.count; i++) sum += *(const double*)((const u64*)p.numbers)[i];
    *(double*)p.scalar = sum;
}

struct ClipParams {
    u64 scalar;
    u64 norm;
    // Infinite for no limit.
    double most;
};

// min(1, most / (norm + 1e-6)), not-a-number where the norm is no number
KERNEL(clip_scalar, ClipParams) {
    if (threadIdx.x != 0) return;
    double norm = *(const double*)p.norm;
    double factor = p.most / (norm + 1e-6);
    // The difference is 0, or not-a-number for infinity and not-a-number.
    *(double*)p.scalar = (factor < 1.0 ? factor : 1.0) + (norm - norm);
}
