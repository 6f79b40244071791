// What every kernel begins with: views of memory in f32 or bf16, targets with their beta, dropout masks, reductions.
// Compiled twice: by NVRTC for a GPU, and by a C++ compiler over shim/shim.h, which plays the threads of a block on the CPU. It must not include
// any header: NVRTC has none.
#pragma once

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;

#ifdef __CUDACC__
// A kernel takes one struct by value; its twin in Rust stands in src/launch.
#define KERNEL(name, Params) extern "C" __global__ void name(const Params p)
// Shared memory whose size the launch gives.
#define DYNAMIC_SHARED(Type, name) extern __shared__ __align__(16) unsigned char name##_bytes[]; Type* name = (Type*)name##_bytes
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

#define WARP 32
#define ALL_LANES 0xffffffffu

// ---- bf16: the upper half of an f32, rounded to nearest even ----

__device__ inline float from_bf16(u16 bits) { return __uint_as_float((u32)bits << 16); }

__device__ inline u16 to_bf16(float x) {
    u32 bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (u16)((bits >> 16) | 0x40u);
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// ---- memory ----

// Elements in f32 or bf16. Parameters in f32 may have a shadow in bf16 behind them, which every store keeps true.
struct View {
    u64 data;
    u64 shadow;
    u32 is_bf16;
    u32 unused;
};

// Where a gradient goes; without a place nobody wants it. beta 0 overwrites and never reads, beta 1 adds.
struct Target {
    View to;
    float beta;
    u32 wanted;
};

__device__ inline float load(const View& v, u64 i) {
    return v.is_bf16 ? from_bf16(((const u16*)v.data)[i]) : ((const float*)v.data)[i];
}

__device__ inline void store(const View& v, u64 i, float x) {
    if (v.is_bf16) {
        ((u16*)v.data)[i] = to_bf16(x);
    } else {
        ((float*)v.data)[i] = x;
        if (v.shadow) ((u16*)v.shadow)[i] = to_bf16(x);
    }
}

__device__ inline void put(const Target& t, u64 i, float x) {
    store(t.to, i, t.beta == 0.0f ? x : load(t.to, i) + x);
}

// ---- dropout: the counter-based function of ferrotune-kernels/src/mask.rs, bit for bit ----

struct Mask {
    u64 start;
    u32 low_key;
    u32 high_key;
    u32 threshold;
    float scale;
};

__device__ inline u32 finalize(u32 x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

// 0 if the element is dropped, 1/(1 - p) if it is kept.
__device__ inline float keep_scale(const Mask& m, u64 element) {
    if (m.threshold == 0u) return 1.0f;
    element += m.start;
    u32 bits = finalize(finalize((u32)element ^ m.low_key) + finalize((u32)(element >> 32) ^ m.high_key));
    return bits >= m.threshold ? m.scale : 0.0f;
}

// ---- reductions in a fixed order ----

__device__ inline float warp_sum(float x) {
    UNROLL
    for (int offset = WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(ALL_LANES, x, offset);
    return x;
}

__device__ inline float warp_max(float x) {
    UNROLL
    for (int offset = WARP / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, offset));
    return x;
}

__device__ inline double warp_sum_f64(double x) {
    UNROLL
    for (int offset = WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(ALL_LANES, x, offset);
    return x;
}

// The sum over all threads of a block, known to each; `partial` has room for one number a warp. Begins and ends with a barrier's worth of order.
__device__ inline double block_sum_f64(double x, double* partial) {
    x = warp_sum_f64(x);
    if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = x;
    __syncthreads();
    double sum = 0.0;
    for (u32 w = 0; w < blockDim.x / WARP; w++) sum += partial[w];
    __syncthreads();
    return sum;
}

// 2^x in one instruction; results below the smallest normal number become 0.
__device__ inline float power_of_two(float x) {
#ifdef __CUDACC__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return exp2f(x);
#endif
}

__device__ inline u64 global_index() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }
