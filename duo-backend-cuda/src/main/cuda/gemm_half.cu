// Linear layers for many tokens on tensor cores: out[t, n] = sum of x[t, k] * weight[n, k] + bias[n], with x rounded to
// the weight's 16-bit type and sums in float.
//
// A block computes a tile of 128 tokens by 128 outputs, in steps of 32 columns. Four steps of both inputs are in shared
// memory at a time, brought there by cp.async three steps ahead. Eight warps, two by four, have 64 x 32 outputs each, as
// 4 x 4 tiles of mma.m16n8k16. The four 16-byte chunks of a row of 64 bytes are exchanged by half the row number, so that
// the eight rows that ldmatrix reads at once lie in different banks.
//
// Rows of x and weight are multiples of 16 bytes and begin at such. Launch: 256 threads, grid (outputs / 128, tokens / 128)
// rounded up, 65536 bytes of dynamic shared memory.
#include "linear.cuh"

#define TILE 128
#define STEP 32
#define CHUNKS (STEP / 8)
#define STAGES 4
#define STAGE_NUMBERS (2 * TILE * STEP)

__device__ __forceinline__ void multiply(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], F16) {
    mma_f16_16816(d, a, b);
}

__device__ __forceinline__ void multiply(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], BF16) {
    mma_bf16_16816(d, a, b);
}

// Where a chunk of a row lies in a tile.
template <typename T>
__device__ __forceinline__ T* chunk_at(T* tile, int row, int chunk) {
    return tile + row * STEP + ((chunk ^ (row / 2 % CHUNKS)) * 8);
}

// Begins to copy rows first .. first + 127, columns k .. k + 31 of a matrix; zeros where it ends.
template <typename T>
__device__ __forceinline__ void bring(T* tile, const T* matrix, int first, int rows, i64 stride, int k, int columns) {
#pragma unroll
    for (int i = 0; i < TILE * CHUNKS / 256; i++) {
        int index = threadIdx.x + i * 256;
        int row = index / CHUNKS;
        int chunk = index % CHUNKS;
        bool inside = first + row < rows && k + chunk * 8 < columns;
        const T* from = inside ? matrix + (first + row) * stride + k + chunk * 8 : matrix;
        cp_async_16_or_zero(chunk_at(tile, row, chunk), from, inside);
    }
}

template <typename T>
__device__ void gemm(
    const T* x, int in, int tokens, const T* weight, const void* bias, int bias_type, float* out,
    int outputs) {
    DUO_SHARED(T, shared);
    int first_token = blockIdx.y * TILE;
    int first_output = blockIdx.x * TILE;
    int lane = threadIdx.x % 32;
    int warp_row = threadIdx.x / 32 / 4 * 64;
    int warp_column = threadIdx.x / 32 % 4 * 32;
    int steps = (in + STEP - 1) / STEP;
    float sums[4][4][4] = {};

#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) {
            T* stage = shared + s * STAGE_NUMBERS;
            bring(stage, x, first_token, tokens, in, s * STEP, in);
            bring(stage + TILE * STEP, weight, first_output, outputs, in, s * STEP, in);
        }
        cp_async_commit();
    }
    for (int step = 0; step < steps; step++) {
        cp_async_wait<STAGES - 2>();
        // The step is here for all threads, and nobody reads the stage that is filled next any more.
        __syncthreads();
        int ahead = step + STAGES - 1;
        if (ahead < steps) {
            T* stage = shared + ahead % STAGES * STAGE_NUMBERS;
            bring(stage, x, first_token, tokens, in, ahead * STEP, in);
            bring(stage + TILE * STEP, weight, first_output, outputs, in, ahead * STEP, in);
        }
        cp_async_commit();
        const T* xs = shared + step % STAGES * STAGE_NUMBERS;
        const T* ws = xs + TILE * STEP;
#pragma unroll
        for (int half = 0; half < STEP / 16; half++) {
            u32 a[4][4];
            u32 b[4][2];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                // Matrices in the order (rows 0-7, k 0-7), (rows 8-15, k 0-7), (rows 0-7, k 8-15), (rows 8-15, k 8-15).
                int row = warp_row + 16 * i + lane % 16;
                ldmatrix_x4(a[i], chunk_at(xs, row, 2 * half + lane / 16));
            }
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                // (outputs 0-7, k 0-7), (outputs 0-7, k 8-15), (outputs 8-15, k 0-7), (outputs 8-15, k 8-15).
                int row = warp_column + 8 * j + lane / 16 * 8 + lane % 8;
                u32 r[4];
                ldmatrix_x4(r, chunk_at(ws, row, 2 * half + lane / 8 % 2));
                b[j][0] = r[0];
                b[j][1] = r[1];
                b[j + 1][0] = r[2];
                b[j + 1][1] = r[3];
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    multiply(sums[i][j], a[i], b[j], T());
                }
            }
        }
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
        for (int c = 0; c < 2; c++) {
            int output = first_output + warp_column + 8 * j + lane % 4 * 2 + c;
            if (output < outputs) {
                float added = load_bias(bias, bias_type, output);
#pragma unroll
                for (int i = 0; i < 4; i++) {
#pragma unroll
                    for (int r = 0; r < 2; r++) {
                        int token = first_token + warp_row + 16 * i + 8 * r + lane / 4;
                        if (token < tokens) {
                            out[static_cast<i64>(token) * outputs + output] = sums[i][j][2 * r + c] + added;
                        }
                    }
                }
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) duo_gemm_f16(
    const F16* x, int in, int tokens, const F16* weight, const void* bias, int bias_type, float* out,
    int outputs) {
    gemm(x, in, tokens, weight, bias, bias_type, out, outputs);
}

extern "C" __global__ void __launch_bounds__(256) duo_gemm_bf16(
    const BF16* x, int in, int tokens, const BF16* weight, const void* bias, int bias_type, float* out,
    int outputs) {
    gemm(x, in, tokens, weight, bias, bias_type, out, outputs);
}
