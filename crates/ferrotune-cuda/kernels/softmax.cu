// Softmax of rows. Twins: src/launch/softmax.rs.
#include "common.cuh"
#include "teams.cuh"

struct SoftmaxParams {
    View y;
    View x;
    u64 rows;
    u32 cols;
    u32 team;
};

// y = exp(x - max) / Σ exp(x - max)
KERNEL(softmax_forward, SoftmaxParams) {
    Team team = team_of(p.team);
    for (u64 row = team.row; row < p.rows; row += team.stride) {
        u64 start = row * p.cols;
        Normaliser<float> all = normaliser<float>(team, p.x, start, p.cols);
        float inverse = 1.0f / all.sum;
        for (u32 c = team.rank; c < p.cols; c += team.size) store(p.y, start + c, expf(load(p.x, start + c) - all.max) * inverse);
    }
}

struct SoftmaxBackwardParams {
    Target dx;
    View dy;
    View y;
    u64 rows;
    u32 cols;
    u32 team;
};

// dx = beta·dx + y·(dy - Σ dy·y)
KERNEL(softmax_backward, SoftmaxBackwardParams) {
    Team team = team_of(p.team);
    for (u64 row = team.row; row < p.rows; row += team.stride) {
        u64 start = row * p.cols;
        float mean = 0.0f;
        for (u32 c = team.rank; c < p.cols; c += team.size) mean = fmaf(load(p.dy, start + c), load(p.y, start + c), mean);
        mean = team_sum(team, mean);
        for (u32 c = team.rank; c < p.cols; c += team.size) put(p.dx, start + c, load(p.y, start + c) * (load(p.dy, start + c) - mean));
    }
}
