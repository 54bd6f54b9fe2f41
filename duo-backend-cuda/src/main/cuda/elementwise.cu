// Operations on every element by itself. Launch: one thread per element, blocks in x.
#include "prelude.cuh"

__device__ __forceinline__ i64 element() {
    return static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// target += x
extern "C" __global__ void __launch_bounds__(256) duo_add(float* target, const float* x, long long elements) {
    i64 i = element();
    if (i < elements) {
        target[i] += x[i];
    }
}

// out = gate * sigmoid(gate) * up (SwiGLU, arXiv 2002.05202); out may be gate or up.
extern "C" __global__ void __launch_bounds__(256)
    duo_swiglu(const float* gate, const float* up, float* out, long long elements) {
    i64 i = element();
    if (i < elements) {
        float g = gate[i];
        out[i] = g / (1.0f + expf(-g)) * up[i];
    }
}

// out[t, k] = x[t, k] as bfloat16 in rows of `stride` numbers, zeros from `width` on. Launch: elements of out.
extern "C" __global__ void __launch_bounds__(256)
    duo_round_bf16(const float* x, BF16* out, long long elements, int width, int stride) {
    i64 i = element();
    if (i < elements) {
        i64 row = i / stride;
        int column = static_cast<int>(i - row * stride);
        out[i] = to_bf16(column < width ? x[row * width + column] : 0.0f);
    }
}

// As duo_round_bf16, as binary16. What does not fit becomes the largest number that does.
extern "C" __global__ void __launch_bounds__(256)
    duo_round_f16(const float* x, F16* out, long long elements, int width, int stride) {
    i64 i = element();
    if (i < elements) {
        i64 row = i / stride;
        int column = static_cast<int>(i - row * stride);
        float value = column < width ? x[row * width + column] : 0.0f;
        out[i] = to_f16(fminf(fmaxf(value, -65504.0f), 65504.0f));
    }
}
