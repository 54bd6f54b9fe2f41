// Root-mean-square normalisation (arXiv 1910.07467) of consecutive groups of elements, and the same after an addition.
// Launch: one block of whole warps per group; out may be x.
#include "prelude.cuh"

template <typename T>
__device__ void normalise(const float* x, const T* weight, float epsilon, float* out, int group, float sum) {
    __shared__ float partial[32];
    float mean = block_sum(sum, partial) / group;
    float factor = 1.0f / sqrtf(mean + epsilon);
    for (int i = threadIdx.x; i < group; i += blockDim.x) {
        out[i] = x[i] * factor * to_float(weight[i]);
    }
}

template <typename T>
__device__ void rms_norm(const float* x, const T* weight, float epsilon, float* out, int group) {
    i64 first = static_cast<i64>(blockIdx.x) * group;
    float sum = 0;
    for (int i = threadIdx.x; i < group; i += blockDim.x) {
        sum = fmaf(x[first + i], x[first + i], sum);
    }
    normalise(x + first, weight, epsilon, out + first, group, sum);
}

// target += x; out = the normalised target.
template <typename T>
__device__ void add_rms_norm(float* target, const float* x, const T* weight, float epsilon, float* out, int group) {
    i64 first = static_cast<i64>(blockIdx.x) * group;
    float sum = 0;
    for (int i = threadIdx.x; i < group; i += blockDim.x) {
        float value = target[first + i] + x[first + i];
        target[first + i] = value;
        sum = fmaf(value, value, sum);
    }
    // A thread reads back what it wrote itself.
    normalise(target + first, weight, epsilon, out + first, group, sum);
}

#define DUO_NORM(name, T)                                                                                  \
    extern "C" __global__ void __launch_bounds__(1024)                                                     \
        duo_rms_norm_##name(const float* x, const T* weight, float epsilon, float* out, int group) {       \
        rms_norm(x, weight, epsilon, out, group);                                                          \
    }                                                                                                      \
    extern "C" __global__ void __launch_bounds__(1024) duo_add_rms_norm_##name(                            \
        float* target, const float* x, const T* weight, float epsilon, float* out, int group) {            \
        add_rms_norm(target, x, weight, epsilon, out, group);                                              \
    }

DUO_NORM(f32, float)
DUO_NORM(f16, F16)
DUO_NORM(bf16, BF16)
