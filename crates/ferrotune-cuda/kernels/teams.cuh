// Rows of a matrix, each computed by a team: a warp where rows are short, a block where they are long. It must not know any kernel.
#pragma once
#include "common.cuh"

struct Team {
    // This thread's number in its team, and how many they are: WARP or the whole block.
    u32 rank;
    u32 size;
    // The team's first row, and the distance to its next.
    u64 row;
    u64 stride;
};

__device__ inline Team team_of(u32 size) {
    u64 teams = blockDim.x / size;
    return Team{threadIdx.x % size, size, blockIdx.x * teams + threadIdx.x / size, gridDim.x * teams};
}

// All threads of the team must come, and all get the result.
__device__ inline double team_sum(const Team& team, double x) {
    __shared__ double partial[WARP];
    return team.size == WARP ? warp_sum_f64(x) : block_sum_f64(x, partial);
}

__device__ inline float team_sum(const Team& team, float x) {
    return team.size == WARP ? warp_sum(x) : (float)team_sum(team, (double)x);
}

__device__ inline float team_max(const Team& team, float x) {
    __shared__ float partial[WARP];
    x = warp_max(x);
    if (team.size == WARP) return x;
    if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = x;
    __syncthreads();
    x = partial[0];
    for (u32 w = 1; w < blockDim.x / WARP; w++) x = fmaxf(x, partial[w]);
    __syncthreads();
    return x;
}

// ---- the normaliser of softmax ----

__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }

// Σ exp(x) = sum·exp(max).
template <class T> struct Normaliser {
    float max;
    T sum;
};

// Of one row, in one pass over memory (Milakov and Gimelshein 2018). A not-a-number is passed over by the maximum and shows in the sum.
template <class T> __device__ inline Normaliser<T> normaliser(const Team& team, const View& x, u64 start, u32 cols) {
    // Not minus infinity: the difference of two of them is no number.
    float max = -3.402823466e38f;
    T sum = 0;
    for (u32 c = team.rank; c < cols; c += team.size) {
        float value = load(x, start + c);
        if (value > max) {
            sum = sum * exponential((T)max - (T)value) + (T)1;
            max = value;
        } else {
            sum += exponential((T)value - (T)max);
        }
    }
    float most = team_max(team, max);
    return Normaliser<T>{most, team_sum(team, sum * exponential((T)max - (T)most))};
}
