// Operations on every element by itself. Launch: one thread per element, blocks in x.
#include "linear.cuh"

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

// out = x as bfloat16.
extern "C" __global__ void __launch_bounds__(256) duo_round_bf16(const float* x, BF16* out, long long elements) {
    i64 i = element();
    if (i < elements) {
        out[i] = to_bf16(x[i]);
    }
}

// out = x as binary16. What does not fit becomes the largest number that does.
extern "C" __global__ void __launch_bounds__(256) duo_round_f16(const float* x, F16* out, long long elements) {
    i64 i = element();
    if (i < elements) {
        out[i] = to_f16(fminf(fmaxf(x[i], -65504.0f), 65504.0f));
    }
}

// As duo_round_bf16, and the sum of every 16 rounded numbers. Launch: one thread per 16 elements.
extern "C" __global__ void __launch_bounds__(256)
    duo_round_bf16_sums(const float* x, BF16* out, float* sums, long long elements) {
    i64 i = element();
    if (16 * i < elements) {
        const float4* from = reinterpret_cast<const float4*>(x + 16 * i);
        uint2* to = reinterpret_cast<uint2*>(out + 16 * i);
        float sum = 0;
#pragma unroll
        for (int v = 0; v < 4; v++) {
            float4 part = from[v];
            uint2 bits;
            bits.x = pack_bf16(part.x, part.y);
            bits.y = pack_bf16(part.z, part.w);
            sum += low_bf16(bits.x) + high_bf16(bits.x) + (low_bf16(bits.y) + high_bf16(bits.y));
            to[v] = bits;
        }
        sums[i] = sum;
    }
}

// out[t, n] += bias[n] for a bias of any type. Launch: one thread per element.
extern "C" __global__ void __launch_bounds__(256)
    duo_add_bias(float* out, const void* bias, int bias_type, long long elements, int outputs) {
    i64 i = element();
    if (i < elements) {
        out[i] += load_bias(bias, bias_type, static_cast<int>(i % outputs));
    }
}
