// Rotary position embedding (RoFormer, arXiv 2104.09864), in place: elements i and i + pairs of a head form pair i.
//
// Angles are computed in double precision: a float angle is wrong by 0.06 rad at a million tokens. One block per token
// computes its cosines and sines once, for all heads. `direction` is 1, or -1 for the rotation back. Dynamic shared memory: 2 * pairs floats.
#include "prelude.cuh"

extern "C" __global__ void __launch_bounds__(256) duo_rope(
    float* x, int width, int head_dim, const double* frequencies, int pairs, double attention_factor,
    double direction, const long long* position) {
    DUO_SHARED(float, cosines);
    float* sines = cosines + pairs;
    i64 at = *position + blockIdx.x;
    for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
        // In half turns, whose whole part is removed exactly: no table of digits of pi on a stack, as for radians.
        double half_turns = static_cast<double>(at) * frequencies[i] * 0.31830988618379067154;
        double sine;
        double cosine;
        sincospi(half_turns, &sine, &cosine);
        cosines[i] = static_cast<float>(cosine * attention_factor);
        sines[i] = static_cast<float>(direction * sine * attention_factor);
    }
    __syncthreads();
    float* row = x + static_cast<i64>(blockIdx.x) * width;
    int heads = width / head_dim;
    for (int i = threadIdx.x; i < heads * pairs; i += blockDim.x) {
        int pair = i % pairs;
        float* head = row + i / pairs * head_dim;
        float a = head[pair];
        float b = head[pair + pairs];
        head[pair] = a * cosines[pair] - b * sines[pair];
        head[pair + pairs] = b * cosines[pair] + a * sines[pair];
    }
}
