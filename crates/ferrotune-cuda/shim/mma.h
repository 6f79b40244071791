// The warp-wide instructions of kernels/mma.cuh, played from the layouts that the PTX ISA documents: every lane shows its registers to all others
// and computes its own numbers. It must not know any kernel.
#pragma once
#include "shim.h"

namespace shim {
// Half `which` of a register, as the f32 of those bf16 bits.
inline float half_bf16(unsigned int pair, unsigned int which) { return __uint_as_float(which ? pair & 0xffff0000u : pair << 16); }

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
inline void mma_m16n8k16_bf16(float c[4], const unsigned int a[4], const unsigned int b[2]) {
    struct Fragments {
        unsigned int a[4], b[2];
    } mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const unsigned char* slots = exchange(&mine, sizeof(mine));
    unsigned int lane = current->lane;
    for (unsigned int i = 0; i < 4; i++) {
        unsigned int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        float sum = c[i];
        for (unsigned int k = 0; k < 16; k++) {
            Fragments left, right;
            memcpy(&left, slots + 64 * (row % 8 * 4 + k % 8 / 2), sizeof(left));
            memcpy(&right, slots + 64 * (column * 4 + k % 8 / 2), sizeof(right));
            sum += half_bf16(left.a[row / 8 + k / 8 * 2], k % 2) * half_bf16(right.b[k / 8], k % 2);
        }
        c[i] = sum;
    }
    warp_barrier();
}

// ldmatrix.sync.aligned.m8n8.x4[.trans].shared.b16
inline void ldmatrix_x4(unsigned int to[4], const unsigned short* row, bool transposed) {
    const unsigned char* slots = exchange(&row, sizeof(row));
    unsigned int lane = current->lane, at = lane / 4, pair = lane % 4 * 2;
    for (unsigned int matrix = 0; matrix < 4; matrix++) {
        unsigned int halves[2];
        for (unsigned int i = 0; i < 2; i++) {
            unsigned int r = transposed ? pair + i : at, column = transposed ? at : pair + i;
            const unsigned short* from;
            memcpy(&from, slots + 64 * (matrix * 8 + r), sizeof(from));
            halves[i] = from[column];
        }
        to[matrix] = halves[0] | halves[1] << 16;
    }
    warp_barrier();
}
}  // namespace shim
