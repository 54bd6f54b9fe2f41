// Linear layers with weights in groups of 4 or 8 bits, for few tokens: out[t, n] = sum of x[t, k] * weight[n, k] + bias[n].
//
// Codes become numbers in registers. Within a word of codes, all of one group, the scale multiplies the sum of code * x
// and the offset the sum of x; x and all sums are float, so nothing is rounded but them. A warp has four rows and reads x
// once for all of them; a lane loads 4 bytes of codes per row, so that a warp reads whole lines.
//
// Launch: as gemv.cu; layers of one launch have the same format. `shift` is the logarithm of the group where the group is a power of two of at least
// 8, else -1: then elements are looked up one by one.
#include "linear.cuh"
#include "quantized.cuh"

template <int Bits>
struct Codes {
    static const int count = 32 / Bits;
};

// The codes of a word as floats. Or-ing an integer into the mantissa of 2^23 makes a float without a conversion.
template <int Bits>
__device__ __forceinline__ void unpack(float (&out)[Codes<Bits>::count], u32 word) {
    const float big = 8388608.0f;
#pragma unroll
    for (int i = 0; i < Codes<Bits>::count; i++) {
        out[i] = __uint_as_float(0x4b000000u | (word >> i * Bits & ((1u << Bits) - 1))) - big;
    }
}

template <int Bits, int Tokens>
__device__ void gemv(
    const float* x, int in, int tokens, i64 stride, const void* scales, int kind, int group, int shift, Layer layer) {
    const int count = Codes<Bits>::count;
    int first = layer.block * GEMV_BLOCK_ROWS + threadIdx.x / 32 * GEMV_ROWS;
    i64 groups = in / group;
    const u8* rows[GEMV_ROWS];
    i64 first_groups[GEMV_ROWS];
#pragma unroll
    for (int r = 0; r < GEMV_ROWS; r++) {
        i64 row = min(first + r, layer.outputs - 1);
        rows[r] = static_cast<const u8*>(layer.weight) + row * stride;
        first_groups[r] = row * groups;
    }
    float sums[GEMV_ROWS][Tokens] = {};
    if (shift >= 0 && reinterpret_cast<u64>(x) % 16 == 0) {
        for (int k = threadIdx.x % 32 * count; k < in; k += 32 * count) {
            u32 words[GEMV_ROWS];
            float2 pairs[GEMV_ROWS];
#pragma unroll
            for (int r = 0; r < GEMV_ROWS; r++) {
                words[r] = __ldcs(reinterpret_cast<const u32*>(rows[r] + k / (8 / Bits)));
                pairs[r] = load_scale<Bits>(scales, kind, first_groups[r] + (k >> shift));
            }
            float codes[GEMV_ROWS][count];
#pragma unroll
            for (int r = 0; r < GEMV_ROWS; r++) {
                unpack<Bits>(codes[r], words[r]);
            }
#pragma unroll
            for (int t = 0; t < Tokens; t++) {
                if (t < tokens) {
                    const float4* from = reinterpret_cast<const float4*>(x + static_cast<i64>(t) * in + k);
                    float total = 0;
                    float products[GEMV_ROWS] = {};
#pragma unroll
                    for (int v = 0; v < count / 4; v++) {
                        float4 part = from[v];
                        total += part.x + part.y + (part.z + part.w);
#pragma unroll
                        for (int r = 0; r < GEMV_ROWS; r++) {
                            products[r] = fmaf(codes[r][4 * v], part.x, products[r]);
                            products[r] = fmaf(codes[r][4 * v + 1], part.y, products[r]);
                            products[r] = fmaf(codes[r][4 * v + 2], part.z, products[r]);
                            products[r] = fmaf(codes[r][4 * v + 3], part.w, products[r]);
                        }
                    }
#pragma unroll
                    for (int r = 0; r < GEMV_ROWS; r++) {
                        sums[r][t] = fmaf(pairs[r].x, products[r], fmaf(pairs[r].y, total, sums[r][t]));
                    }
                }
            }
        }
    } else {
        for (int k = threadIdx.x % 32; k < in; k += 32) {
#pragma unroll
            for (int r = 0; r < GEMV_ROWS; r++) {
                float2 pair = load_scale<Bits>(scales, kind, first_groups[r] + k / group);
                float code = static_cast<float>(load_code<Bits>(rows[r], k));
#pragma unroll
                for (int t = 0; t < Tokens; t++) {
                    if (t < tokens) {
                        float part = x[static_cast<i64>(t) * in + k];
                        sums[r][t] = fmaf(pair.x * code, part, fmaf(pair.y, part, sums[r][t]));
                    }
                }
            }
        }
    }
    write_sums<Tokens>(sums, first, tokens, layer);
}

// `blocks` as in gemv.cu.
#define DUO_GEMV(bits, tokens_, blocks)                                                                         \
    extern "C" __global__ void __launch_bounds__(GEMV_THREADS, blocks) duo_gemv_int##bits##_##tokens_(          \
        const float* x, int in, int tokens, long long stride, int kind, int group, int shift, const u8* codes0, \
        const void* scales0, const void* bias0, int bias_type0, float* out0, int outputs0, const u8* codes1,    \
        const void* scales1, const void* bias1, int bias_type1, float* out1, int outputs1, const u8* codes2,    \
        const void* scales2, const void* bias2, int bias_type2, float* out2, int outputs2) {                    \
        Layer layer = {codes0, bias0, bias_type0, out0, outputs0, static_cast<int>(blockIdx.x)};                \
        const void* scales = scales0;                                                                           \
        if (layer.block >= gemv_blocks(outputs0)) {                                                             \
            layer = {codes1, bias1, bias_type1, out1, outputs1, layer.block - gemv_blocks(outputs0)};           \
            scales = scales1;                                                                                   \
            if (layer.block >= gemv_blocks(outputs1)) {                                                         \
                layer = {codes2, bias2, bias_type2, out2, outputs2, layer.block - gemv_blocks(outputs1)};       \
                scales = scales2;                                                                               \
            }                                                                                                   \
        }                                                                                                       \
        gemv<bits, tokens_>(x, in, tokens, stride, scales, kind, group, shift, layer);                          \
    }

DUO_GEMV(4, 1, 0)
DUO_GEMV(4, 2, 5)
DUO_GEMV(4, 4, 5)
DUO_GEMV(4, 8, 3)
DUO_GEMV(8, 1, 0)
DUO_GEMV(8, 2, 5)
DUO_GEMV(8, 4, 5)
DUO_GEMV(8, 8, 3)
