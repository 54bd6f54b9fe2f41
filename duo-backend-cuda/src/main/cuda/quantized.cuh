// Weights that are quantised in groups along their rows: the value of a code is offset + code * scale.
//
// Codes are row-major in rows of `stride` bytes, a multiple of 4; with 4 bits the earlier element is the lower half of a
// byte. `scales` is [rows, groups] in one of four kinds, a symmetric group having the offset -2^(bits-1) * scale.
#pragma once

#include "prelude.cuh"

enum ScaleKind { SYMMETRIC_F16 = 0, SYMMETRIC_F32 = 1, ASYMMETRIC_F16 = 2, ASYMMETRIC_F32 = 3 };

// Scale and offset of group number `index`.
template <int Bits>
__device__ __forceinline__ float2 load_scale(const void* scales, int kind, i64 index) {
    const float centre = Bits == 4 ? 8.0f : 128.0f;
    float2 pair;
    if (kind == ASYMMETRIC_F16) {
        u32 bits = static_cast<const u32*>(scales)[index];
        pair.x = low_f16(bits);
        pair.y = high_f16(bits);
    } else if (kind == SYMMETRIC_F16) {
        pair.x = to_float(static_cast<const F16*>(scales)[index]);
        pair.y = -centre * pair.x;
    } else if (kind == ASYMMETRIC_F32) {
        pair = static_cast<const float2*>(scales)[index];
    } else {
        pair.x = static_cast<const float*>(scales)[index];
        pair.y = -centre * pair.x;
    }
    return pair;
}

template <int Bits>
__device__ __forceinline__ u32 load_code(const u8* row, int column) {
    return Bits == 8 ? row[column] : row[column / 2] >> column % 2 * 4 & 15;
}
