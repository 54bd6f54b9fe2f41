// What the kernels of linear layers share.
#pragma once

#include "prelude.cuh"

#define GEMV_THREADS 128
// Rows of a warp and of a block.
#define GEMV_ROWS 4
#define GEMV_BLOCK_ROWS 16

enum NumberType { NO_NUMBERS = 0, NUMBERS_F32 = 1, NUMBERS_F16 = 2, NUMBERS_BF16 = 3 };

// One layer, and the number of this block among those of the layer. No bias: NO_NUMBERS.
struct Layer {
    const void* weight;
    const void* bias;
    int bias_type;
    float* out;
    int outputs;
    int block;
};

__device__ __forceinline__ int gemv_blocks(int outputs) {
    return (outputs + GEMV_BLOCK_ROWS - 1) / GEMV_BLOCK_ROWS;
}

__device__ __forceinline__ float load_bias(const void* bias, int type, int index) {
    switch (type) {
        case NUMBERS_F32:
            return static_cast<const float*>(bias)[index];
        case NUMBERS_F16:
            return to_float(static_cast<const F16*>(bias)[index]);
        case NUMBERS_BF16:
            return to_float(static_cast<const BF16*>(bias)[index]);
        default:
            return 0.0f;
    }
}

// Adds up what the lanes of a warp have, and writes the four outputs of every token.
template <int Tokens>
__device__ __forceinline__ void write_sums(float (&sums)[GEMV_ROWS][Tokens], int first, int tokens, Layer layer) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < GEMV_ROWS; r++) {
#pragma unroll
        for (int t = 0; t < Tokens; t++) {
            float sum = warp_sum(sums[r][t]);
            if (lane == (r * Tokens + t) % 32 && t < tokens && first + r < layer.outputs) {
                layer.out[static_cast<i64>(t) * layer.outputs + first + r] =
                    sum + load_bias(layer.bias, layer.bias_type, first + r);
            }
        }
    }
}
