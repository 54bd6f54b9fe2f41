// Linear layers with weights in groups of 4 or 8 bits for many tokens, on tensor cores. x is rounded to bfloat16; codes
// are exact in it. With the numbers of a group in the columns k .. k + n - 1,
//
//   out[t, o] = sum over groups of scale[o] * (sum of x[t, k] * code[o, k]) + offset[o] * (sum of x[t, k]),
//
// so that scales and offsets multiply sums in float and no weight is ever rounded.
//
// Tiles, steps and warps are those of gemm_half.cu. x comes by cp.async three steps ahead; codes, scales and sums of x are
// in registers one step ahead, and become bfloat16 in one of two tiles in shared memory. Sums of x are per 16 columns.
//
// Groups are multiples of 16, rows of codes multiples of 8 (4 bits) or 16 bytes. Launch: 256 threads, grid (outputs / 128,
// tokens / 128) rounded up, 55296 bytes of dynamic shared memory.
#include "linear.cuh"
#include "quantized.cuh"

#define TILE 128
#define STEP 32
#define CHUNKS (STEP / 8)
#define STAGES 4
// Sums of x and scales of a step: one for each 16 columns.
#define PARTS (STEP / 16)

__device__ __forceinline__ BF16* chunk_at(BF16* tile, int row, int chunk) {
    return tile + row * STEP + ((chunk ^ (row / 2 % CHUNKS)) * 8);
}

__device__ __forceinline__ const BF16* chunk_at(const BF16* tile, int row, int chunk) {
    return tile + row * STEP + ((chunk ^ (row / 2 % CHUNKS)) * 8);
}

__device__ __forceinline__ void bring(BF16* tile, const BF16* x, int first, int rows, int k, int columns) {
#pragma unroll
    for (int i = 0; i < TILE * CHUNKS / 256; i++) {
        int index = threadIdx.x + i * 256;
        int row = index / CHUNKS;
        int chunk = index % CHUNKS;
        bool inside = first + row < rows && k + chunk * 8 < columns;
        const BF16* from = inside ? x + static_cast<i64>(first + row) * columns + k + chunk * 8 : x;
        cp_async_16_or_zero(chunk_at(tile, row, chunk), from, inside);
    }
}

// 16 codes of one row, as they are stored.
template <int Bits>
struct Codes {
    u32 words[Bits / 2];
};

template <int Bits>
__device__ __forceinline__ Codes<Bits> load_codes(const u8* from);

template <>
__device__ __forceinline__ Codes<4> load_codes<4>(const u8* from) {
    uint2 bits = *reinterpret_cast<const uint2*>(from);
    return {{bits.x, bits.y}};
}

template <>
__device__ __forceinline__ Codes<8> load_codes<8>(const u8* from) {
    uint4 bits = *reinterpret_cast<const uint4*>(from);
    return {{bits.x, bits.y, bits.z, bits.w}};
}

// Code number i as a float: an integer in the mantissa of 2^23, less 2^23.
template <int Bits>
__device__ __forceinline__ float code(const Codes<Bits>& codes, int i) {
    u32 bits = codes.words[i * Bits / 32] >> i * Bits % 32 & ((1u << Bits) - 1);
    return __uint_as_float(0x4b000000u | bits) - 8388608.0f;
}

template <int Bits>
__device__ __forceinline__ void store_codes(BF16* tile, int row, int half, const Codes<Bits>& codes) {
#pragma unroll
    for (int c = 0; c < 2; c++) {
        uint4 bits;
        bits.x = pack_bf16(code(codes, 8 * c), code(codes, 8 * c + 1));
        bits.y = pack_bf16(code(codes, 8 * c + 2), code(codes, 8 * c + 3));
        bits.z = pack_bf16(code(codes, 8 * c + 4), code(codes, 8 * c + 5));
        bits.w = pack_bf16(code(codes, 8 * c + 6), code(codes, 8 * c + 7));
        *reinterpret_cast<uint4*>(chunk_at(tile, row, 2 * half + c)) = bits;
    }
}

template <int Bits>
__device__ void gemm(
    const BF16* x, const float* x_sums, int in, int tokens, const u8* codes, i64 stride, const void* scales, int kind,
    int group, const void* bias, int bias_type, float* out, int outputs) {
    DUO_SHARED(BF16, shared);
    BF16* x_tiles = shared;
    BF16* w_tiles = x_tiles + STAGES * TILE * STEP;
    float2* pair_tiles = reinterpret_cast<float2*>(w_tiles + 2 * TILE * STEP);
    float* sum_tiles = reinterpret_cast<float*>(pair_tiles + 2 * PARTS * TILE);
    int first_token = blockIdx.y * TILE;
    int first_output = blockIdx.x * TILE;
    int lane = threadIdx.x % 32;
    int warp_row = threadIdx.x / 32 / 4 * 64;
    int warp_column = threadIdx.x / 32 % 4 * 32;
    int steps = (in + STEP - 1) / STEP;
    float sums[4][4][4] = {};

    // What this thread brings of each step: 16 codes of one output with their scale, and one sum of x.
    int my_row = threadIdx.x / 2;
    int my_part = threadIdx.x % 2;
    bool my_output = first_output + my_row < outputs;
    bool my_token = first_token + my_row < tokens;
    const u8* my_codes = codes + static_cast<i64>(my_output ? first_output + my_row : 0) * stride;
    i64 my_groups = static_cast<i64>(my_output ? first_output + my_row : 0) * (in / group);
    const float* my_sums = x_sums + static_cast<i64>(my_token ? first_token + my_row : 0) * (in / 16);
    Codes<Bits> next_codes = {};
    float2 next_pair = {};
    float next_sum = 0;
    auto load = [&](int step) {
        int k = step * STEP + my_part * 16;
        bool inside = k < in;
        next_codes = {};
        next_pair = make_float2(0.0f, 0.0f);
        next_sum = 0;
        if (inside && my_output) {
            next_codes = load_codes<Bits>(my_codes + k / (8 / Bits));
            next_pair = load_scale<Bits>(scales, kind, my_groups + k / group);
        }
        if (inside && my_token) {
            next_sum = my_sums[k / 16];
        }
    };

#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) {
            bring(x_tiles + s * TILE * STEP, x, first_token, tokens, s * STEP, in);
        }
        cp_async_commit();
    }
    load(0);
    for (int step = 0; step < steps; step++) {
        BF16* ws = w_tiles + step % 2 * TILE * STEP;
        float2* pairs = pair_tiles + step % 2 * PARTS * TILE;
        float* x_parts = sum_tiles + step % 2 * PARTS * TILE;
        store_codes<Bits>(ws, my_row, my_part, next_codes);
        pairs[my_part * TILE + my_row] = next_pair;
        x_parts[my_part * TILE + my_row] = next_sum;
        cp_async_wait<STAGES - 2>();
        // The step is here for all threads, and nobody reads what is filled next any more: the step before last's codes,
        // and the last step's x.
        __syncthreads();
        if (step + 1 < steps) {
            load(step + 1);
        }
        int ahead = step + STAGES - 1;
        if (ahead < steps) {
            bring(x_tiles + ahead % STAGES * TILE * STEP, x, first_token, tokens, ahead * STEP, in);
        }
        cp_async_commit();
        const BF16* xs = x_tiles + step % STAGES * TILE * STEP;
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            u32 a[4][4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int row = warp_row + 16 * i + lane % 16;
                ldmatrix_x4(a[i], chunk_at(xs, row, 2 * part + lane / 16));
            }
            float x_part[4][2];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                x_part[i][0] = x_parts[part * TILE + warp_row + 16 * i + lane / 4];
                x_part[i][1] = x_parts[part * TILE + warp_row + 16 * i + 8 + lane / 4];
            }
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                int row = warp_column + 8 * j + lane / 16 * 8 + lane % 8;
                u32 r[4];
                ldmatrix_x4(r, chunk_at(static_cast<const BF16*>(ws), row, 2 * part + lane / 8 % 2));
#pragma unroll
                for (int jj = 0; jj < 2; jj++) {
                    const u32 b[2] = {r[2 * jj], r[2 * jj + 1]};
                    float2 pair[2];
#pragma unroll
                    for (int c = 0; c < 2; c++) {
                        pair[c] = pairs[part * TILE + warp_column + 8 * (j + jj) + lane % 4 * 2 + c];
                    }
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        float products[4] = {};
                        mma_bf16_16816(products, a[i], b);
#pragma unroll
                        for (int c = 0; c < 4; c++) {
                            float sum = fmaf(pair[c % 2].x, products[c], sums[i][j + jj][c]);
                            sums[i][j + jj][c] = fmaf(pair[c % 2].y, x_part[i][c / 2], sum);
                        }
                    }
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

#define DUO_GEMM(bits)                                                                                             \
    extern "C" __global__ void __launch_bounds__(256) duo_gemm_int##bits(                                          \
        const BF16* x, const float* x_sums, int in, int tokens, const u8* codes, long long stride,                 \
        const void* scales, int kind, int group, const void* bias, int bias_type, float* out, int outputs) {       \
        gemm<bits>(x, x_sums, in, tokens, codes, stride, scales, kind, group, bias, bias_type, out, outputs);      \
    }

DUO_GEMM(4)
DUO_GEMM(8)
