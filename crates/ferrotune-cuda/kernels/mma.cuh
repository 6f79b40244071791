// Products of bf16 fragments on tensor cores, and what brings fragments from shared memory. The layouts of fragments are those of the PTX
// ISA, section "Matrix Fragments for mma.m16n8k16": lane l holds of the 16x8 sums in c[0] and c[1] row l/4, columns 2(l%4) and the next, and
// in c[2] and c[3] the same of row l/4 + 8. All lanes of the warp call these together. The shim computes the same from the same layouts
// (shim/mma.h).
#pragma once
#include "common.cuh"

// c += a·b with a 16x16 and b 16x8 in bf16.
__device__ inline void mma_bf16(float c[4], const u32 a[4], const u32 b[2]) {
#ifdef __CUDACC__
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    shim::mma_m16n8k16_bf16(c, a, b);
#endif
}

// Four 8x8 matrices from shared memory: lane l gives the address of row l%8 of matrix l/8, aligned to 16 bytes, and gets of each matrix the two
// numbers in row l/4 from column 2(l%4) on.
__device__ inline void load_matrices(u32 to[4], const u16* row) {
#ifdef __CUDACC__
    u32 address = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
#else
    shim::ldmatrix_x4(to, row, false);
#endif
}

// The same of the transposed matrices: the lane gets the numbers in column l/4 from row 2(l%4) on.
__device__ inline void load_transposed(u32 to[4], const u16* row) {
#ifdef __CUDACC__
    u32 address = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
#else
    shim::ldmatrix_x4(to, row, true);
#endif
}

// Two numbers rounded to bf16, the first in the lower half.
__device__ inline u32 pack_bf16(float first, float second) {
#ifdef __CUDACC__
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(second), "f"(first));
    return packed;
#else
    return (u32)to_bf16(first) | (u32)to_bf16(second) << 16;
#endif
}
