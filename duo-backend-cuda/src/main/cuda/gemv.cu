// Linear layers for few tokens: out[t, n] = sum of x[t, k] * weight[n, k] + bias[n].
//
// Every weight is read once, 16 bytes at a time, by one of the lanes that share a row; a warp has four rows, so that a
// lane has four loads under way and reads x once for all of them. Products and sums are float.
//
// Up to three layers that read the same x go in one launch. Launch: 128 threads, 16 rows per block; the blocks of a
// layer follow those of the one before, each layer rounded up to whole blocks.
#include "linear.cuh"

// Adds the products of `Tokens` rows of x with four rows of the weight: all of them, in steps of what a warp loads.
template <typename T, int Tokens>
__device__ __forceinline__ void products(
    float (&sums)[GEMV_ROWS][Tokens], const T* const (&rows)[GEMV_ROWS], const float* x, int in, int tokens) {
    const int count = Vector<T>::count;
#pragma unroll 1
    for (int k = threadIdx.x % 32 * count; k < in; k += 32 * count) {
        uint4 bits[GEMV_ROWS];
#pragma unroll
        for (int r = 0; r < GEMV_ROWS; r++) {
            bits[r] = load_streaming(rows[r] + k);
        }
        float weight[GEMV_ROWS][count];
#pragma unroll
        for (int r = 0; r < GEMV_ROWS; r++) {
            to_floats(weight[r], bits[r], T());
        }
#pragma unroll
        for (int t = 0; t < Tokens; t++) {
            if (t < tokens) {
                const float4* from = reinterpret_cast<const float4*>(x + static_cast<i64>(t) * in + k);
#pragma unroll
                for (int v = 0; v < count / 4; v++) {
                    float4 part = from[v];
#pragma unroll
                    for (int r = 0; r < GEMV_ROWS; r++) {
                        float sum = sums[r][t];
                        sum = fmaf(weight[r][4 * v], part.x, sum);
                        sum = fmaf(weight[r][4 * v + 1], part.y, sum);
                        sum = fmaf(weight[r][4 * v + 2], part.z, sum);
                        sums[r][t] = fmaf(weight[r][4 * v + 3], part.w, sum);
                    }
                }
            }
        }
    }
}

// As products, for rows that 16-byte loads do not fit.
template <typename T, int Tokens>
__device__ __forceinline__ void odd_products(
    float (&sums)[GEMV_ROWS][Tokens], const T* const (&rows)[GEMV_ROWS], const float* x, int in, int tokens) {
    for (int k = threadIdx.x % 32; k < in; k += 32) {
#pragma unroll
        for (int t = 0; t < Tokens; t++) {
            if (t < tokens) {
                float part = x[static_cast<i64>(t) * in + k];
#pragma unroll
                for (int r = 0; r < GEMV_ROWS; r++) {
                    sums[r][t] = fmaf(to_float(rows[r][k]), part, sums[r][t]);
                }
            }
        }
    }
}

template <typename T, int Tokens>
__device__ void gemv(const float* x, int in, int tokens, Layer layer) {
    int first = layer.block * GEMV_BLOCK_ROWS + threadIdx.x / 32 * GEMV_ROWS;
    const T* rows[GEMV_ROWS];
#pragma unroll
    for (int r = 0; r < GEMV_ROWS; r++) {
        // Rows past the end are computed as the last one and not written.
        i64 row = min(first + r, layer.outputs - 1);
        rows[r] = static_cast<const T*>(layer.weight) + row * in;
    }
    float sums[GEMV_ROWS][Tokens] = {};
    if (in % Vector<T>::count == 0 && reinterpret_cast<u64>(layer.weight) % 16 == 0
        && reinterpret_cast<u64>(x) % 16 == 0) {
        products<T, Tokens>(sums, rows, x, in, tokens);
    } else {
        odd_products<T, Tokens>(sums, rows, x, in, tokens);
    }
    write_sums<Tokens>(sums, first, tokens, layer);
}

// With a bound of `blocks` on a multiprocessor at a time the compiler has the registers that it would spill otherwise; 0 is none.
#define DUO_GEMV(name, T, tokens_, blocks)                                                                        \
    extern "C" __global__ void __launch_bounds__(GEMV_THREADS, blocks) duo_gemv_##name##_##tokens_(               \
        const float* x, int in, int tokens, const void* weight0, const void* bias0, int bias_type0, float* out0,  \
        int outputs0, const void* weight1, const void* bias1, int bias_type1, float* out1, int outputs1,          \
        const void* weight2, const void* bias2, int bias_type2, float* out2, int outputs2) {                      \
        Layer layer = {weight0, bias0, bias_type0, out0, outputs0, static_cast<int>(blockIdx.x)};                 \
        if (layer.block >= gemv_blocks(outputs0)) {                                                               \
            layer = {weight1, bias1, bias_type1, out1, outputs1, layer.block - gemv_blocks(outputs0)};            \
            if (layer.block >= gemv_blocks(outputs1)) {                                                           \
                layer = {weight2, bias2, bias_type2, out2, outputs2, layer.block - gemv_blocks(outputs1)};        \
            }                                                                                                     \
        }                                                                                                         \
        gemv<T, tokens_>(x, in, tokens, layer);                                                                   \
    }

#define DUO_GEMV_TYPE(name, T) \
    DUO_GEMV(name, T, 1, 0)    \
    DUO_GEMV(name, T, 2, 6)    \
    DUO_GEMV(name, T, 4, 5)    \
    DUO_GEMV(name, T, 8, 4)

DUO_GEMV_TYPE(f32, float)
DUO_GEMV_TYPE(f16, F16)
DUO_GEMV_TYPE(bf16, BF16)
