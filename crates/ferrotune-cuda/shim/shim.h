// Plays CUDA's threads on the CPU, so that the kernels' numbers can be tested without a GPU: blocks are a loop, the threads of a block are
// fibers that change at barriers and exchanges. It must not know any kernel.
//
// Threads run in ascending or, where asked, descending order between barriers, so that a missing barrier shows in one of them.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

struct Dim {
    unsigned int x, y, z;
};

struct __attribute__((aligned(8))) float2 {
    float x, y;
};
struct __attribute__((aligned(16))) float4 {
    float x, y, z, w;
};
struct __attribute__((aligned(16))) uint4 {
    unsigned int x, y, z, w;
};

namespace shim {
struct Thread {
    Dim thread;
    unsigned int lane, warp;
};
struct Block {
    Dim block, blocks, threads;
    unsigned char* dynamic_shared;
};
extern thread_local Thread* current;
extern thread_local Block now;

// Waits until all threads of the block, or of the warp, have come here.
void block_barrier();
void warp_barrier();
// Gives `bytes` of each lane to all lanes of the warp: returns an array of 32 slots of 64 bytes, valid until the next exchange.
const unsigned char* exchange(const void* value, unsigned long bytes);

typedef void (*Body)(const void* params);

// The kernels, by name.
struct Kernel {
    const char* name;
    Body body;
    unsigned long params;
    const Kernel* next;
    Kernel(const char* name, Body body, unsigned long params);
};

template <class T> T shuffle(T value, unsigned int source) {
    static_assert(sizeof(T) <= 64, "a slot has 64 bytes");
    T result;
    memcpy(&result, exchange(&value, sizeof(T)) + 64 * (source % 32), sizeof(T));
    warp_barrier();
    return result;
}
}  // namespace shim

#define threadIdx (shim::current->thread)
#define blockIdx (shim::now.block)
#define gridDim (shim::now.blocks)
#define blockDim (shim::now.threads)

#define __device__
#define __shared__ static thread_local
#define __restrict__
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline
#define __launch_bounds__(...)
#define DYNAMIC_SHARED(Type, name) Type* name = (Type*)shim::now.dynamic_shared

// A kernel becomes a function over its parameters that is found by its name.
#define KERNEL(name, Params)                                                                              \
    static void name##_body(const Params p);                                                              \
    extern "C" void ferrotune_shim_##name(const void* params) { name##_body(*(const Params*)params); }    \
    static const shim::Kernel name##_kernel(#name, ferrotune_shim_##name, sizeof(Params));                \
    static void name##_body(const Params p)

static inline void __syncthreads() { shim::block_barrier(); }
static inline void __syncwarp(unsigned int = 0xffffffffu) { shim::warp_barrier(); }
template <class T> static inline T __shfl_sync(unsigned int, T value, int source) { return shim::shuffle(value, source); }
template <class T> static inline T __shfl_xor_sync(unsigned int, T value, int mask) {
    return shim::shuffle(value, shim::current->lane ^ (unsigned int)mask);
}
template <class T> static inline T __shfl_down_sync(unsigned int, T value, int delta) {
    unsigned int source = shim::current->lane + (unsigned int)delta;
    return shim::shuffle(value, source < 32 ? source : shim::current->lane);
}

static inline float __fmul_rn(float a, float b) { return a * b; }

static inline float __uint_as_float(unsigned int bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static inline unsigned int __float_as_uint(float x) {
    unsigned int bits;
    memcpy(&bits, &x, 4);
    return bits;
}
