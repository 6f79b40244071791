// Losses over rows of logits or over numbers, and their gradients. Twins: src/launch/losses.rs.
//
// A forward leaves one partial sum a block in f64; reduce_finish adds them. What the CPU computes in f64 is f64 here too: it is little beside the model.
#include "common.cuh"
#include "teams.cuh"

// ---- rows of logits with a label each ----

struct RowLossParams {
    View logits;
    // Written by cross-entropy alone.
    View probabilities;
    u64 labels;
    // One f32 a class; none for cross-entropy.
    u64 weights;
    u64 partials;
    u64 rows;
    u32 classes;
    u32 team;
    // Smoothing or gamma.
    float setting;
    u32 unused;
};

// The sum of loss(team, row, label), which all threads of a team compute together.
template <class F> __device__ inline void row_losses(const RowLossParams& p, F loss) {
    __shared__ double of_warps[WARP];
    Team team = team_of(p.team);
    double sum = 0.0;
    for (u64 row = team.row; row < p.rows; row += team.stride) {
        double of_row = loss(team, row, ((const u32*)p.labels)[row]);
        if (team.rank == 0) sum += of_row;
    }
    sum = block_sum_f64(sum, of_warps);
    if (threadIdx.x == 0) ((double*)p.partials)[blockIdx.x] = sum;
}

// log Σ exp of a row
__device__ inline double log_sum_exp(const Team& team, const View& logits, u64 start, u32 classes) {
    Normaliser<double> all = normaliser<double>(team, logits, start, classes);
    return (double)all.max + log(all.sum);
}

// (1 - p)^gamma·(-log p) and its derivative by log p, from log p <= 0.
struct Focus {
    double loss;
    double slope;
};

__device__ inline Focus focus(double log_p, double gamma) {
    // 1 - p, exact also where p rounds to 1.
    double miss = -expm1(log_p);
    double power = gamma == 0.0 ? 1.0 : pow(miss, gamma);
    // The limit for miss -> 0 is 0 for every gamma; the formula would say infinity times 0 below 1.
    double pull = miss == 0.0 ? 0.0 : gamma * power / miss * exp(log_p) * log_p;
    return Focus{-power * log_p, pull - power};
}

// -log softmax(logits)[label], saving the probabilities
KERNEL(cross_entropy_rows, RowLossParams) {
    row_losses(p, [&](const Team& team, u64 row, u32 label) {
        u64 start = row * p.classes;
        Normaliser<float> all = normaliser<float>(team, p.logits, start, p.classes);
        float inverse = 1.0f / all.sum;
        for (u32 c = team.rank; c < p.classes; c += team.size)
            store(p.probabilities, start + c, expf(load(p.logits, start + c) - all.max) * inverse);
        // The logarithm is that of the sum, so that it cannot be of 0.
        return log((double)all.sum) - ((double)load(p.logits, start + label) - (double)all.max);
    });
}

// (1 - e)·w_y·(-log p_y) + e/c·Σ w_j·(-log p_j)
KERNEL(weighted_cross_entropy_rows, RowLossParams) {
    const float* weights = (const float*)p.weights;
    double smoothing = (double)p.setting;
    row_losses(p, [&](const Team& team, u64 row, u32 label) {
        u64 start = row * p.classes;
        double normal = log_sum_exp(team, p.logits, start, p.classes), even = 0.0;
        for (u32 c = team.rank; c < p.classes; c += team.size) even += (double)weights[c] * (normal - (double)load(p.logits, start + c));
        even = team_sum(team, even);
        double own = (double)weights[label] * (normal - (double)load(p.logits, start + label));
        return (1.0 - smoothing) * own + smoothing / p.classes * even;
    });
}

// w_y·(1 - p_y)^gamma·(-log p_y)
KERNEL(focal_rows, RowLossParams) {
    row_losses(p, [&](const Team& team, u64 row, u32 label) {
        u64 start = row * p.classes;
        double normal = log_sum_exp(team, p.logits, start, p.classes);
        double log_p = (double)load(p.logits, start + label) - normal;
        return (double)((const float*)p.weights)[label] * focus(log_p, (double)p.setting).loss;
    });
}

struct RowLossBackwardParams {
    Target dlogits;
    View dloss;
    // The probabilities for cross-entropy.
    View logits;
    u64 labels;
    u64 weights;
    u64 rows;
    // Σ weights.
    double all_weights;
    u32 classes;
    u32 team;
    float setting;
    float k;
};

// k·(p - onehot)
KERNEL(cross_entropy_rows_backward, RowLossBackwardParams) {
    Team team = team_of(p.team);
    float k = p.k * load(p.dloss, 0);
    for (u64 row = team.row; row < p.rows; row += team.stride) {
        u64 start = row * p.classes;
        u32 label = ((const u32*)p.labels)[row];
        for (u32 c = team.rank; c < p.classes; c += team.size)
            put(p.dlogits, start + c, k * (load(p.logits, start + c) - (c == label ? 1.0f : 0.0f)));
    }
}

// k·[a·p_j - (1 - e)·w_y·1(j = y) - e/c·w_j] with a = (1 - e)·w_y + e/c·Σ w
KERNEL(weighted_cross_entropy_rows_backward, RowLossBackwardParams) {
    Team team = team_of(p.team);
    const float* weights = (const float*)p.weights;
    double k = (double)(p.k * load(p.dloss, 0));
    double keep = 1.0 - (double)p.setting, spread = (double)p.setting / p.classes;
    for (u64 row = team.row; row < p.rows; row += team.stride) {
        u64 start = row * p.classes;
        u32 label = ((const u32*)p.labels)[row];
        double normal = log_sum_exp(team, p.logits, start, p.classes);
        double own = keep * (double)weights[label];
        for (u32 c = team.rank; c < p.classes; c += team.size) {
            double probability = exp((double)load(p.logits, start + c) - normal);
            double slope = (own + spread * p.all_weights) * probability - (c == label ? own : 0.0) - spread * (double)weights[c];
            put(p.dlogits, start + c, (float)(k * slope));
        }
    }
}

// k·w_y·f'(log p_y)·(1(j = y) - p_j) with f the loss as a function of log p_y
KERNEL(focal_rows_backward, RowLossBackwardParams) {
    Team team = team_of(p.team);
    double k = (double)(p.k * load(p.dloss, 0));
    for (u64 row = team.row; row < p.rows; row += team.stride) {
        u64 start = row * p.classes;
        u32 label = ((const u32*)p.labels)[row];
        double normal = log_sum_exp(team, p.logits, start, p.classes);
        double log_p = (double)load(p.logits, start + label) - normal;
        double slope = (double)((const float*)p.weights)[label] * focus(log_p, (double)p.setting).slope;
        for (u32 c = team.rank; c < p.classes; c += team.size) {
            double of_class = (double)load(p.logits, start + c) - normal;
            double turn = c == label ? -expm1(of_class) : -exp(of_class);
            put(p.dlogits, start + c, (float)(k * slope * turn));
        }
    }
}

// ---- numbers with a target each ----

struct ElementLossParams {
    View x;
    u64 targets;
    u64 partials;
    u64 len;
    // Gamma or delta.
    float setting;
    u32 unused;
};

template <class F> __device__ inline void element_losses(const ElementLossParams& p, F loss) {
    __shared__ double of_warps[WARP];
    double sum = 0.0;
    for (u64 i = global_index(); i < p.len; i += (u64)gridDim.x * blockDim.x)
        sum += loss((double)load(p.x, i), (double)((const float*)p.targets)[i]);
    sum = block_sum_f64(sum, of_warps);
    if (threadIdx.x == 0) ((double*)p.partials)[blockIdx.x] = sum;
}

struct ElementLossBackwardParams {
    Target dx;
    View dloss;
    View x;
    u64 targets;
    u64 len;
    float setting;
    float k;
};

template <class F> __device__ inline void element_slopes(const ElementLossBackwardParams& p, F slope) {
    u64 i = global_index();
    if (i >= p.len) return;
    double k = (double)(p.k * load(p.dloss, 0));
    put(p.dx, i, (float)(k * slope((double)load(p.x, i), (double)((const float*)p.targets)[i])));
}

// max(x, 0) - x·t + log(1 + exp(-|x|)); not-a-number shows
KERNEL(binary_cross_entropy_elements, ElementLossParams) {
    element_losses(p, [](double x, double t) { return (x < 0.0 ? 0.0 : x) - x * t + log1p(exp(-fabs(x))); });
}

// σ(x) - t
KERNEL(binary_cross_entropy_elements_backward, ElementLossBackwardParams) {
    element_slopes(p, [](double x, double t) { return 1.0 / (1.0 + exp(-x)) - t; });
}

// log σ of the logit of the right answer
__device__ inline double log_probability(double x, double t) {
    double z = t == 1.0 ? x : -x;
    return (z > 0.0 ? 0.0 : z) - log1p(exp(-fabs(z)));
}

// (1 - p)^gamma·(-log p) of the target, 0 or 1
KERNEL(binary_focal_elements, ElementLossParams) {
    element_losses(p, [&](double x, double t) { return focus(log_probability(x, t), (double)p.setting).loss; });
}

// ±f'(log p)·(1 - p)
KERNEL(binary_focal_elements_backward, ElementLossBackwardParams) {
    element_slopes(p, [&](double x, double t) {
        double log_p = log_probability(x, t);
        return (t == 1.0 ? 1.0 : -1.0) * focus(log_p, (double)p.setting).slope * -expm1(log_p);
    });
}

// (x - t)²
KERNEL(squared_error_elements, ElementLossParams) {
    element_losses(p, [](double x, double t) { return (x - t) * (x - t); });
}

// 2·(x - t)
KERNEL(squared_error_elements_backward, ElementLossBackwardParams) {
    element_slopes(p, [](double x, double t) { return 2.0 * (x - t); });
}

// ½r² where |r| <= delta, else delta·(|r| - ½delta)
KERNEL(huber_elements, ElementLossParams) {
    double delta = (double)p.setting;
    element_losses(p, [&](double x, double t) {
        double r = x - t;
        return fabs(r) <= delta ? 0.5 * r * r : delta * (fabs(r) - 0.5 * delta);
    });
}

// clamp(r, -delta, delta); not-a-number shows
KERNEL(huber_elements_backward, ElementLossBackwardParams) {
    double delta = (double)p.setting;
    element_slopes(p, [&](double x, double t) {
        double r = x - t;
        return r > delta ? delta : (r < -delta ? -delta : r);
    });
}
