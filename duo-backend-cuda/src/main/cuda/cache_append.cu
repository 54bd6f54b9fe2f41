// Appends keys and values to slabs: rounds F32 rows to the slab's type, or quantises them.
//
// Quantised rows (KvCodec): per group the offset is the least element, rounded down to F16; the scale is the span from there to the
// largest one divided by the largest code, rounded up to F16; codes are computed from the rounded numbers, to nearest, ties to
// even. So an element moves by half a step at most and is never clipped.
//
// Launch: a warp takes one key or value row of one token and head; blocks of 128 threads, tokens * units * 2 warps in all.
//   k, v   F32 [tokens, width], the keys and values of all heads of the layer
//   units  the slab's heads, with the runs of slots that the tokens go to
#include "slab.cuh"

/** The largest finite F16 that is not above a value, or the smallest finite one. */
static __device__ __forceinline__ F16 round_down(float value) {
    F16 rounded = to_f16(fminf(fmaxf(value, -65504.0f), 65504.0f));
    if (to_float(rounded) > value) {
        // Towards minus infinity: negative numbers grow in magnitude, positive ones shrink, +0 becomes the least negative.
        int magnitude = rounded.bits & 0x7fff;
        if (magnitude == 0) {
            rounded.bits = 0x8001;
        } else if (rounded.bits & 0x8000) {
            rounded.bits = (u16)(0x8000 | (magnitude < 0x7bfe ? magnitude : 0x7bfe) + 1);
        } else {
            rounded.bits--;
        }
    }
    return rounded;
}

template <int FORMAT>
static __device__ __forceinline__ int code_of(float value, float offset, float scale) {
    if (scale == 0.0f) {
        return 0;
    }
    float code = rintf((value - offset) / scale);
    return (int)fminf(fmaxf(code, 0.0f), FORMAT == FORMAT_INT8 ? 255.0f : 15.0f);
}

template <int FORMAT> static __device__ __forceinline__ void store_dense(const float *from, char *row, int dim, int lane) {
    for (int d = lane; d < dim; d += 32) {
        if (FORMAT == FORMAT_F32) {
            ((float *)row)[d] = from[d];
        } else {
            ((u16 *)row)[d] = FORMAT == FORMAT_F16 ? to_f16(from[d]).bits : to_bf16(from[d]).bits;
        }
    }
}

/** Lanes take pairs of elements, so that a byte of 4-bit codes is written by one lane. A group is even. */
template <int FORMAT>
static __device__ __forceinline__ void store_quantized(const float *from, char *row, F16 *scales, int dim, int group, int lane) {
    for (int first = 0; first < dim; first += group) {
        float low = 3.0e38f;
        float high = -3.0e38f;
        for (int d = lane; d < group; d += 32) {
            low = fminf(low, from[first + d]);
            high = fmaxf(high, from[first + d]);
        }
        low = -warp_max(-low);
        high = warp_max(high);
        F16 stored_offset = round_down(low);
        float offset = to_float(stored_offset);
        F16 stored_scale = round_down((offset - high) / (FORMAT == FORMAT_INT8 ? 255.0f : 15.0f));
        stored_scale.bits ^= 0x8000;
        float scale = to_float(stored_scale);
        for (int d = first + 2 * lane; d < first + group; d += 64) {
            int low_code = code_of<FORMAT>(from[d], offset, scale);
            int high_code = code_of<FORMAT>(from[d + 1], offset, scale);
            if (FORMAT == FORMAT_INT8) {
                ((u8 *)row)[d] = (u8)low_code;
                ((u8 *)row)[d + 1] = (u8)high_code;
            } else {
                ((u8 *)row)[d / 2] = (u8)(low_code | high_code << 4);
            }
        }
        if (lane == 0) {
            scales[2 * (first / group)] = stored_scale;
            scales[2 * (first / group) + 1] = stored_offset;
        }
    }
}

template <int FORMAT>
static __device__ __forceinline__ void append(
        const float *k, const float *v, int tokens, int width, const Unit *units, int unit_count, int dim, int group) {
    i64 index = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = threadIdx.x % 32;
    i64 token = index / (2 * unit_count);
    if (token >= tokens) {
        return;
    }
    const Unit &unit = units[index / 2 % unit_count];
    bool value = index & 1;
    i64 slot = slot_of(unit, token);
    const float *from = (value ? v : k) + token * width + unit.head * dim;
    char *row = (value ? unit.values : unit.keys) + slot * row_bytes<FORMAT>(dim);
    if (FORMAT == FORMAT_INT8 || FORMAT == FORMAT_INT4) {
        F16 *scales = (F16 *)(value ? unit.value_scales : unit.key_scales) + 2 * slot * (dim / group);
        store_quantized<FORMAT>(from, row, scales, dim, group, lane);
    } else {
        store_dense<FORMAT>(from, row, dim, lane);
    }
    if (unit.scores && !value && lane == 0) {
        unit.scores[slot] = 0.0f;
    }
}

#define APPEND(NAME, FORMAT)                                                                                                     \
    extern "C" __global__ void __launch_bounds__(128) NAME(                                                                      \
            const float *k, const float *v, int tokens, int width, const Unit *units, int unit_count, int dim, int group) {      \
        append<FORMAT>(k, v, tokens, width, units, unit_count, dim, group);                                                      \
    }

APPEND(append_f32, FORMAT_F32)
APPEND(append_f16, FORMAT_F16)
APPEND(append_bf16, FORMAT_BF16)
APPEND(append_int8, FORMAT_INT8)
APPEND(append_int4, FORMAT_INT4)
