// Sums, products and fills, element by element. Twins: src/launch/elementwise.rs.
#include "common.cuh"

struct MapParams {
    View y;
    View a;
    View b;
    u64 len;
    float k;
    u32 unused;
};

// y = k
KERNEL(fill, MapParams) {
    u64 i = global_index();
    if (i < p.len) store(p.y, i, p.k);
}

// y += k·a
KERNEL(axpy, MapParams) {
    u64 i = global_index();
    if (i < p.len) store(p.y, i, fmaf(p.k, load(p.a, i), load(p.y, i)));
}

// y = a + b
KERNEL(add, MapParams) {
    u64 i = global_index();
    if (i < p.len) store(p.y, i, load(p.a, i) + load(p.b, i));
}

// y = a·b
KERNEL(mul, MapParams) {
    u64 i = global_index();
    if (i < p.len) store(p.y, i, load(p.a, i) * load(p.b, i));
}

struct MapBackwardParams {
    Target dx;
    View dy;
    View other;
    u64 len;
    float k;
    u32 unused;
};

// dx = beta·dx + dy·other
KERNEL(mul_backward, MapBackwardParams) {
    u64 i = global_index();
    if (i < p.len) put(p.dx, i, load(p.dy, i) * load(p.other, i));
}

// dx = beta·dx + k·dy
KERNEL(scale_into, MapBackwardParams) {
    u64 i = global_index();
    if (i < p.len) put(p.dx, i, p.k * load(p.dy, i));
}

// dx = beta·dx + k·dy[0]
KERNEL(sum_backward, MapBackwardParams) {
    u64 i = global_index();
    if (i < p.len) put(p.dx, i, p.k * load(p.dy, 0));
}

struct PenaltyParams {
    View g;
    View p;
    View start;
    u64 len;
    float l1;
    float l2;
};

// g += l1·sign(p) + l2·p
KERNEL(penalty_add, PenaltyParams) {
    u64 i = global_index();
    if (i >= p.len) return;
    float w = load(p.p, i);
    float sign = w > 0.0f ? 1.0f : (w < 0.0f ? -1.0f : 0.0f);
    store(p.g, i, load(p.g, i) + (p.l1 * sign + p.l2 * w));
}

// g += l2·(p − start)
KERNEL(anchor_add, PenaltyParams) {
    u64 i = global_index();
    if (i < p.len) store(p.g, i, load(p.g, i) + p.l2 * (load(p.p, i) - load(p.start, i)));
}
