// Dropout and activations, element by element, and the gated GELU. Twins: src/launch/activation.rs.
#include "vector.cuh"

struct ActivationParams {
    Target to;
    View a;
    // None for functions of one number.
    View b;
    Mask mask;
    u64 len;
    // All memory begins at a multiple of four numbers.
    u32 aligned;
    u32 unused;
};

// to = beta·to + f(a, b, element), four elements a thread.
template <class F> __device__ inline void activate(const ActivationParams& p, F f) {
    u64 i = 4 * global_index();
    if (p.aligned && i + 4 <= p.len) {
        Four a = load_four(p.a, i);
        Four b = p.b.data ? load_four(p.b, i) : a;
        Four y;
        UNROLL
        for (int j = 0; j < 4; j++) y.x[j] = f(a.x[j], b.x[j], i + j);
        put_four(p.to, i, y);
        return;
    }
    for (u64 end = i + 4; i < end && i < p.len; i++) {
        float a = load(p.a, i);
        put(p.to, i, f(a, p.b.data ? load(p.b, i) : a, i));
    }
}

// a·keep_scale, which is its own gradient.
KERNEL(dropout_apply, ActivationParams) {
    activate(p, [&](float a, float, u64 element) { return a * keep_scale(p.mask, element); });
}

// Φ(x), the distribution of the standard normal, from φ(x)·√(2π) = exp(-x²/2): erf by formula 7.1.26 of Abramowitz and Stegun, which needs that number anyhow
// and has no branch. Its error is at most 1.5e-7, so that of Φ is half as much.
__device__ inline float normal_distribution(float x, float density) {
    float z = fabsf(x) * 0.70710678118654752f;
    float t = 1.0f / fmaf(0.3275911f, z, 1.0f);
    float series = fmaf(fmaf(fmaf(fmaf(1.061405429f, t, -1.453152027f), t, 1.421413741f), t, -0.284496736f), t, 0.254829592f) * t;
    float tail = 0.5f * series * density;
    return x < 0.0f ? tail : 1.0f - tail;
}

__device__ inline float bell(float x) { return power_of_two(-0.72134752044448170f * x * x); }

// x·Φ(x)
__device__ inline float gelu(float x) { return x * normal_distribution(x, bell(x)); }

// Φ(x) + x·φ(x)
__device__ inline float gelu_slope(float x) {
    float density = bell(x);
    return fmaf(0.39894228040143268f * x, density, normal_distribution(x, density));
}

// gelu(a)
KERNEL(gelu_forward, ActivationParams) {
    activate(p, [](float x, float, u64) { return gelu(x); });
}

// a·gelu'(b)
KERNEL(gelu_backward, ActivationParams) {
    activate(p, [](float dy, float x, u64) { return dy * gelu_slope(x); });
}

// tanh(a)
KERNEL(tanh_forward, ActivationParams) {
    activate(p, [](float x, float, u64) { return tanhf(x); });
}

// a·(1 - b²)
KERNEL(tanh_backward, ActivationParams) {
    activate(p, [](float dy, float y, u64) { return dy * fmaf(-y, y, 1.0f); });
}

// max(a, 0), where not-a-number stays what it is
KERNEL(relu_forward, ActivationParams) {
    activate(p, [](float x, float, u64) { return x < 0.0f ? 0.0f : x; });
}

// a where b > 0
KERNEL(relu_backward, ActivationParams) {
    activate(p, [](float dy, float y, u64) { return y > 0.0f ? dy : 0.0f; });
}

struct GegluParams {
    // y, or dx.
    Target to;
    // (rows, 2·width): a|b by columns.
    View x;
    // None in the forward.
    View dy;
    u64 rows;
    u32 width;
    u32 unused;
};

// y = gelu(a)·b, a warp a row.
template <int W> __device__ inline void geglu(const GegluParams& p) {
    u64 row = (u64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= p.rows) return;
    for (u32 column = threadIdx.x % WARP * W; column < p.width; column += WARP * W) {
        float a[W], b[W];
        load_some<W>(a, p.x, 2 * row * p.width + column);
        load_some<W>(b, p.x, (2 * row + 1) * p.width + column);
        UNROLL
        for (int k = 0; k < W; k++) b[k] *= gelu(a[k]);
        put_some<W>(p.to, row * p.width + column, b);
    }
}

KERNEL(geglu_1, GegluParams) { geglu<1>(p); }
KERNEL(geglu_4, GegluParams) { geglu<4>(p); }

// dx = beta·dx + (dy·b·gelu'(a) | dy·gelu(a)), a warp a row.
template <int W> __device__ inline void geglu_backward(const GegluParams& p) {
    u64 row = (u64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= p.rows) return;
    for (u32 column = threadIdx.x % WARP * W; column < p.width; column += WARP * W) {
        u64 at = 2 * row * p.width + column;
        float a[W], b[W], dy[W];
        load_some<W>(a, p.x, at);
        load_some<W>(b, p.x, at + p.width);
        load_some<W>(dy, p.dy, row * p.width + column);
        UNROLL
        for (int k = 0; k < W; k++) {
            b[k] *= dy[k] * gelu_slope(a[k]);
            a[k] = dy[k] * gelu(a[k]);
        }
        put_some<W>(p.to, at, b);
        put_some<W>(p.to, at + p.width, a);
    }
}

KERNEL(geglu_backward_1, GegluParams) { geglu_backward<1>(p); }
KERNEL(geglu_backward_4, GegluParams) { geglu_backward<4>(p); }
