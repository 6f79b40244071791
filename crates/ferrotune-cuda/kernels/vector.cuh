// One number or four at a time, for kernels that are written once for both. Twin of the choice: `View::is_wide` in src/memory.rs. It must not know
// any kernel.
#pragma once
#include "four.cuh"

// W numbers from element i on, W 1 or 4; with 4, i is a multiple of 4 and the view begins at one.
template <int W> __device__ inline void load_some(float (&x)[W], const View& v, u64 i) {
    static_assert(W == 1 || W == 4, "one number or four");
    if (W == 1) {
        x[0] = load(v, i);
    } else {
        Four four = load_four(v, i);
        UNROLL
        for (int k = 0; k < W; k++) x[k] = four.x[k];
    }
}

template <int W> __device__ inline Four as_four(const float (&x)[W]) {
    Four four;
    UNROLL
    for (int k = 0; k < W; k++) four.x[k] = x[k];
    return four;
}

template <int W> __device__ inline void store_some(const View& v, u64 i, const float (&x)[W]) {
    if (W == 1) store(v, i, x[0]);
    else store_four(v, i, as_four<W>(x));
}

template <int W> __device__ inline void put_some(const Target& t, u64 i, const float (&x)[W]) {
    if (W == 1) put(t, i, x[0]);
    else put_four(t, i, as_four<W>(x));
}
