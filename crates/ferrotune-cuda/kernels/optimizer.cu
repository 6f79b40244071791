// Steps of optimizers over flat parameters. The order of operations is that of ferrotune-kernels/src/adamw.rs and sgd.rs. A step whose scale of
// gradients is not finite changes nothing. Twins: src/launch/optimizer.rs.
#include "vector.cuh"

// The constants of a step, each rounded to f32 once.
struct AdamWFactors {
    float decay;
    float one_minus_beta1;
    float beta2;
    float one_minus_beta2;
    float inverse_sqrt_correction2;
    float eps;
    float step_size;
    u32 unused;
};

// Rounded products where contraction would fuse them, so that a step has the same bits wherever it is compiled.
__device__ inline void adamw_element(float& p, float& m, float& v, float g, const AdamWFactors& f) {
    float mean = fmaf(f.one_minus_beta1, g - m, m);
    float square = fmaf(__fmul_rn(f.one_minus_beta2, g), g, __fmul_rn(f.beta2, v));
    float denominator = fmaf(sqrtf(square), f.inverse_sqrt_correction2, f.eps);
    p = fmaf(-f.step_size, mean / denominator, __fmul_rn(p, f.decay));
    m = mean;
    v = square;
}

__device__ inline bool is_finite(double x) { return x - x == 0.0; }

// A stretch of parameters with one set of factors.
struct AdamWChunk {
    u64 start;
    u32 length;
    u32 factors;
};

struct AdamWParams {
    View p;
    View m;
    View v;
    View g;
    u64 grad_scale;
    u64 chunks;
    u64 factors;
};

template <int W> __device__ inline void adamw_some(const AdamWParams& a, u64 i, const AdamWFactors& f, float scale) {
    float p[W], m[W], v[W], g[W];
    load_some<W>(p, a.p, i);
    load_some<W>(m, a.m, i);
    load_some<W>(v, a.v, i);
    load_some<W>(g, a.g, i);
    UNROLL
    for (int k = 0; k < W; k++) adamw_element(p[k], m[k], v[k], __fmul_rn(scale, g[k]), f);
    store_some<W>(a.p, i, p);
    store_some<W>(a.m, i, m);
    store_some<W>(a.v, i, v);
}

// Whether element i of f32 memory begins four that are aligned.
__device__ inline bool begins_four(const View& v, u64 i) { return (v.data + 4 * i) % 16 == 0; }

// Elements of a chunk that a block takes.
#define ADAMW_PIECE 4096

// blockIdx.x: a chunk; blockIdx.y: a piece of it.
KERNEL(adamw, AdamWParams) {
    double grad_scale = *(const double*)p.grad_scale;
    if (!is_finite(grad_scale)) return;
    float scale = (float)grad_scale;
    AdamWChunk chunk = ((const AdamWChunk*)p.chunks)[blockIdx.x];
    u32 from = blockIdx.y * ADAMW_PIECE;
    if (from >= chunk.length) return;
    u32 count = chunk.length - from < ADAMW_PIECE ? chunk.length - from : ADAMW_PIECE;
    u64 start = chunk.start + from;
    AdamWFactors f = ((const AdamWFactors*)p.factors)[chunk.factors];
    bool wide = begins_four(p.p, start) && begins_four(p.m, start) && begins_four(p.v, start) && begins_four(p.g, start);
    u32 fours = wide ? count / 4 : 0;
    for (u32 i = threadIdx.x; i < fours; i += blockDim.x) adamw_some<4>(p, start + 4 * i, f, scale);
    for (u32 i = 4 * fours + threadIdx.x; i < count; i += blockDim.x) adamw_some<1>(p, start + i, f, scale);
}

// A row of a table and the first of the steps that it has missed.
struct LateRow {
    u32 row;
    u32 from;
};

struct AdamWIdleParams {
    View p;
    View m;
    View v;
    u64 rows;
    u64 factors;
    u32 steps;
    u32 width;
};

// blockIdx.x: a row. Steps without a gradient, all of them while a number is in registers.
KERNEL(adamw_idle, AdamWIdleParams) {
    LateRow late = ((const LateRow*)p.rows)[blockIdx.x];
    const AdamWFactors* factors = (const AdamWFactors*)p.factors;
    for (u32 column = threadIdx.x; column < p.width; column += blockDim.x) {
        u64 i = (u64)late.row * p.width + column;
        float x = load(p.p, i), m = load(p.m, i), v = load(p.v, i);
        // Moments of +0 stay +0 and the update is -0, which changes nothing: only the decay is left.
        bool fresh = __float_as_uint(m) == 0u && __float_as_uint(v) == 0u;
        for (u32 step = late.from; step < p.steps; step++) {
            if (fresh) x = x * factors[step].decay;
            else adamw_element(x, m, v, 0.0f, factors[step]);
        }
        store(p.p, i, x);
        store(p.m, i, m);
        store(p.v, i, v);
    }
}

struct SgdParams {
    View p;
    View velocity;
    View g;
    u64 grad_scale;
    u64 len;
    float lr;
    float momentum;
    float weight_decay;
    u32 is_wide;
};

template <int W> __device__ inline void sgd_some(const SgdParams& s, u64 i, float scale) {
    float p[W], velocity[W], g[W];
    load_some<W>(p, s.p, i);
    load_some<W>(velocity, s.velocity, i);
    load_some<W>(g, s.g, i);
    UNROLL
    for (int k = 0; k < W; k++) {
        float d = fmaf(s.weight_decay, p[k], __fmul_rn(scale, g[k]));
        velocity[k] = fmaf(s.momentum, velocity[k], d);
        p[k] = fmaf(-s.lr, velocity[k], p[k]);
    }
    store_some<W>(s.p, i, p);
    store_some<W>(s.velocity, i, velocity);
}

// Four elements a thread.
KERNEL(sgd, SgdParams) {
    double grad_scale = *(const double*)p.grad_scale;
    if (!is_finite(grad_scale)) return;
    u64 i = 4 * global_index();
    if (p.is_wide && i + 4 <= p.len) {
        sgd_some<4>(p, i, (float)grad_scale);
    } else {
        for (u64 end = i + 4; i < end && i < p.len; i++) sgd_some<1>(p, i, (float)grad_scale);
    }
}
