// Backward operations outside attention and linear layers, for the identification of heads. No atomics: the same input
// gives the same bits.
#include "prelude.cuh"

// The backward of the normalisation in norm.cu: with r = sqrt(mean(x^2) + epsilon) of a group of n elements,
// out = w g / r - x sum(x w g) / (n r^3). Launch: one block of whole warps per group; out may be the gradient.
template <typename T>
__device__ void rms_norm(
    const float* x, const T* weight, float epsilon, const float* gradient, float* out, int group) {
    __shared__ float partial[32];
    i64 first = static_cast<i64>(blockIdx.x) * group;
    float squares = 0;
    float products = 0;
    for (int i = threadIdx.x; i < group; i += blockDim.x) {
        float value = x[first + i];
        squares = fmaf(value, value, squares);
        products = fmaf(value, to_float(weight[i]) * gradient[first + i], products);
    }
    squares = block_sum(squares, partial);
    products = block_sum(products, partial);
    float inverse = 1.0f / sqrtf(squares / group + epsilon);
    float mean = products / group * inverse * inverse;
    for (int i = threadIdx.x; i < group; i += blockDim.x) {
        out[first + i] = (to_float(weight[i]) * gradient[first + i] - x[first + i] * mean) * inverse;
    }
}

#define DUO_NORM_BACKWARD(name, T)                                                                             \
    extern "C" __global__ void __launch_bounds__(1024) duo_rms_norm_backward_##name(                           \
        const float* x, const T* weight, float epsilon, const float* gradient, float* out, int group) {        \
        rms_norm(x, weight, epsilon, gradient, out, group);                                                    \
    }

DUO_NORM_BACKWARD(f32, float)
DUO_NORM_BACKWARD(f16, F16)
DUO_NORM_BACKWARD(bf16, BF16)

// The backward of gate * sigmoid(gate) * up. Launch: one thread per element; outputs may be inputs of their own element.
extern "C" __global__ void __launch_bounds__(256) duo_swiglu_backward(
    const float* gate, const float* up, const float* gradient, float* gate_gradient, float* up_gradient,
    long long elements) {
    i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < elements) {
        float g = gate[i];
        float u = up[i];
        float d = gradient[i];
        float sigmoid = 1.0f / (1.0f + expf(-g));
        gate_gradient[i] = d * u * sigmoid * (1.0f + g * (1.0f - sigmoid));
        up_gradient[i] = d * (g * sigmoid);
    }
}

// out = gate * full + (1 - gate) * streaming, with one gate for `head_width` elements of a row. Launch: one thread per
// element.
extern "C" __global__ void __launch_bounds__(256) duo_blend(
    const float* full, const float* streaming, const float* gates, float* out, long long elements, int width,
    int head_width) {
    i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < elements) {
        float gate = gates[i % width / head_width];
        out[i] = gate * full[i] + (1.0f - gate) * streaming[i];
    }
}

// The backward of duo_blend for streaming, and for each gate the sum of gradient * (full - streaming) over its elements.
// Launch: one block of whole warps per gate; streaming_gradient may be the gradient.
extern "C" __global__ void __launch_bounds__(1024) duo_blend_backward(
    const float* full, const float* streaming, const float* gates, const float* gradient, float* streaming_gradient,
    float* gate_gradients, int tokens, int width, int head_width) {
    __shared__ float partial[32];
    float rest = 1.0f - gates[blockIdx.x];
    float sum = 0;
    i64 elements = static_cast<i64>(tokens) * head_width;
    for (i64 i = threadIdx.x; i < elements; i += blockDim.x) {
        i64 row = i / head_width;
        i64 at = row * width + blockIdx.x * static_cast<i64>(head_width) + (i - row * head_width);
        float d = gradient[at];
        sum = fmaf(d, full[at] - streaming[at], sum);
        streaming_gradient[at] = rest * d;
    }
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) {
        gate_gradients[blockIdx.x] = sum;
    }
}
