// Linear layers for many tokens with products and sums in float, whatever the weights are stored as:
// out[t, n] = sum of x[t, k] * weight[n, k] + bias[n].
//
// A block computes a tile of 64 tokens by 64 outputs; each step brings 16 columns of x and of the weight, as floats, to
// shared memory; each thread keeps 4 x 4 sums. Launch: 256 threads, grid (outputs / 64, tokens / 64), rounded up.
#include "linear.cuh"
#include "quantized.cuh"

// The backward of these layers, out[t, k] = sum of x[t, n] * weight[n, k] with x the gradient of the output, is the same
// product with the transposed weight; it may be added to what is there, for layers that read the same input.
#define TILE 64
#define STEP 16
// Four more columns: still aligned for float4, and the rows begin in different banks.
#define PITCH (TILE + 4)

template <typename T>
struct DenseWeight {
    // Whether numbers that follow each other in memory have the same row.
    static const bool by_rows = true;
    const T* weight;
    int in;

    __device__ __forceinline__ float at(int row, int column) const {
        return to_float(weight[static_cast<i64>(row) * in + column]);
    }
};

template <int Bits>
struct QuantizedWeight {
    static const bool by_rows = true;
    const u8* codes;
    i64 stride;
    const void* scales;
    int kind;
    int group;
    int groups;

    __device__ __forceinline__ float at(int row, int column) const {
        float2 pair = load_scale<Bits>(scales, kind, static_cast<i64>(row) * groups + column / group);
        return fmaf(static_cast<float>(load_code<Bits>(codes + row * stride, column)), pair.x, pair.y);
    }
};

// The transpose of a weight.
template <typename W>
struct Transposed {
    static const bool by_rows = false;
    W weight;

    __device__ __forceinline__ float at(int row, int column) const {
        return weight.at(column, row);
    }
};

template <typename W>
__device__ void gemm(
    const float* x, int in, int tokens, W weight, const void* bias, int bias_type, float* out, int outputs,
    int added) {
    __shared__ __align__(16) float xs[STEP][PITCH];
    __shared__ __align__(16) float ws[STEP][PITCH];
    int first_token = blockIdx.y * TILE;
    int first_output = blockIdx.x * TILE;
    int row = threadIdx.x / 16;
    int column = threadIdx.x % 16;
    float sums[4][4] = {};
    for (int k = 0; k < in; k += STEP) {
#pragma unroll
        for (int i = threadIdx.x; i < TILE * STEP; i += 256) {
            int line = i / STEP;
            int at = i % STEP;
            bool inside = k + at < in;
            xs[at][line] = inside && first_token + line < tokens
                ? x[static_cast<i64>(first_token + line) * in + k + at]
                : 0.0f;
            int w_line = W::by_rows ? line : i % TILE;
            int w_at = W::by_rows ? at : i / TILE;
            ws[w_at][w_line] = k + w_at < in && first_output + w_line < outputs
                ? weight.at(first_output + w_line, k + w_at)
                : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int at = 0; at < STEP; at++) {
            float4 a = *reinterpret_cast<const float4*>(&xs[at][4 * row]);
            float4 b = *reinterpret_cast<const float4*>(&ws[at][4 * column]);
            const float left[4] = {a.x, a.y, a.z, a.w};
            const float right[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int token = first_token + 4 * row + i;
            int output = first_output + 4 * column + j;
            if (token < tokens && output < outputs) {
                float* target = out + static_cast<i64>(token) * outputs + output;
                float sum = sums[i][j] + load_bias(bias, bias_type, output);
                *target = added ? *target + sum : sum;
            }
        }
    }
}

#define DUO_GEMM(name, T)                                                                                     \
    extern "C" __global__ void __launch_bounds__(256) duo_gemm_exact_##name(                                  \
        const float* x, int in, int tokens, const T* weight, const void* bias, int bias_type, float* out,     \
        int outputs) {                                                                                        \
        gemm(x, in, tokens, DenseWeight<T>{weight, in}, bias, bias_type, out, outputs, 0);                    \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) duo_gemm_backward_##name(                               \
        const float* x, int in, int tokens, const T* weight, float* out, int outputs, int added) {            \
        Transposed<DenseWeight<T>> transposed = {{weight, outputs}};                                          \
        gemm(x, in, tokens, transposed, nullptr, NO_NUMBERS, out, outputs, added);                            \
    }

DUO_GEMM(f32, float)
DUO_GEMM(f16, F16)
DUO_GEMM(bf16, BF16)

#define DUO_GEMM_QUANTIZED(bits)                                                                                \
    extern "C" __global__ void __launch_bounds__(256) duo_gemm_exact_int##bits(                                 \
        const float* x, int in, int tokens, const u8* codes, long long stride, const void* scales, int kind,    \
        int group, const void* bias, int bias_type, float* out, int outputs) {                                  \
        QuantizedWeight<bits> weight = {codes, stride, scales, kind, group, in / group};                        \
        gemm(x, in, tokens, weight, bias, bias_type, out, outputs, 0);                                          \
    }                                                                                                           \
    extern "C" __global__ void __launch_bounds__(256) duo_gemm_backward_int##bits(                              \
        const float* x, int in, int tokens, const u8* codes, long long stride, const void* scales, int kind,    \
        int group, float* out, int outputs, int added) {                                                        \
        Transposed<QuantizedWeight<bits>> transposed = {{codes, stride, scales, kind, group, outputs / group}}; \
        gemm(x, in, tokens, transposed, nullptr, NO_NUMBERS, out, outputs, added);                              \
    }

DUO_GEMM_QUANTIZED(4)
DUO_GEMM_QUANTIZED(8)
