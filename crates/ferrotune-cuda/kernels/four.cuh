// Numbers four at a time, for memory that begins at a multiple of four (so does its shadow): 16 bytes of f32, 8 of bf16. It must not know any kernel.
#pragma once
#include "common.cuh"

struct __align__(16) Four {
    float x[4];
};

struct __align__(8) FourBf16 {
    u16 x[4];
};

__device__ inline Four load_four(const View& v, u64 i) {
    if (!v.is_bf16) return *(const Four*)((const float*)v.data + i);
    FourBf16 bits = *(const FourBf16*)((const u16*)v.data + i);
    Four y;
    UNROLL
    for (int j = 0; j < 4; j++) y.x[j] = from_bf16(bits.x[j]);
    return y;
}

__device__ inline void store_four(const View& v, u64 i, const Four& y) {
    FourBf16 bits;
    if (v.is_bf16 || v.shadow) {
        UNROLL
        for (int j = 0; j < 4; j++) bits.x[j] = to_bf16(y.x[j]);
    }
    if (v.is_bf16) {
        *(FourBf16*)((u16*)v.data + i) = bits;
        return;
    }
    *(Four*)((float*)v.data + i) = y;
    if (v.shadow) *(FourBf16*)((u16*)v.shadow + i) = bits;
}

__device__ inline void put_four(const Target& t, u64 i, Four y) {
    if (t.beta != 0.0f) {
        Four old = load_four(t.to, i);
        UNROLL
        for (int j = 0; j < 4; j++) y.x[j] += old.x[j];
    }
    store_four(t.to, i, y);
}
