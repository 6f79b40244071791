// Turns by position: columns i and i + pairs of a head are one pair, which turns by position·frequency_i (ferrotune-kernels/src/rotary.rs). Twin:
// src/launch/rotary.rs.
#include "vector.cuh"

struct RotaryParams {
    Target to;
    View x;
    // One for each row.
    u64 positions;
    // One for each pair of columns of a head, f32.
    u64 frequencies;
    u64 rows;
    u32 width;
    u32 pairs;
    // Heads that are turned, at the front of each row.
    u32 heads;
    // -1 turns back.
    float direction;
};

// to = beta·to + turned x, a warp a row. A lane keeps its W pairs for all heads, whose angles are the same; where a head has not enough pairs for all lanes,
// the warp turns several heads at once.
template <int W> __device__ inline void rotary(const RotaryParams& p) {
    u64 row = (u64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= p.rows) return;
    u32 lane = threadIdx.x % WARP, parts = p.pairs / W, turned = 2 * p.pairs * p.heads;
    u64 start = row * p.width;
    float position = (float)((const u32*)p.positions)[row];
    if (turned > 0) {
        u32 lanes = parts < WARP ? parts : WARP, heads_at_once = WARP / lanes;
        for (u32 part = lane % lanes; part < parts && lane / lanes < heads_at_once; part += lanes) {
            float sine[W], cosine[W];
            UNROLL
            for (int k = 0; k < W; k++) {
                // Rounded as on the CPU: the last place of a thousand radians is 6e-5.
                float angle = __fmul_rn(position, ((const float*)p.frequencies)[part * W + k]);
                sine[k] = p.direction * sinf(angle);
                cosine[k] = cosf(angle);
            }
            for (u32 head = lane / lanes; head < p.heads; head += heads_at_once) {
                u64 at = start + 2 * head * p.pairs + part * W;
                float low[W], high[W];
                load_some<W>(low, p.x, at);
                load_some<W>(high, p.x, at + p.pairs);
                UNROLL
                for (int k = 0; k < W; k++) {
                    float x = low[k], y = high[k];
                    low[k] = fmaf(x, cosine[k], -(y * sine[k]));
                    high[k] = fmaf(y, cosine[k], x * sine[k]);
                }
                put_some<W>(p.to, at, low);
                put_some<W>(p.to, at + p.pairs, high);
            }
        }
    }
    for (u32 column = turned + lane * W; column < p.width; column += WARP * W) {
        float rest[W];
        load_some<W>(rest, p.x, start + column);
        put_some<W>(p.to, start + column, rest);
    }
}

KERNEL(rotary_1, RotaryParams) { rotary<1>(p); }
KERNEL(rotary_4, RotaryParams) { rotary<4>(p); }
