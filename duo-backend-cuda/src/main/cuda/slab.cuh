// Where the keys and values of one KV head of a slab lie, and how its rows are read.
//
// A head has four areas: key rows, key scales, value rows, value scales. Rows have no padding. A dense row is headDim elements; a
// quantised one is headDim codes, 4-bit ones two to a byte with the first in the lower half. For every row and group of
// headDim / groups elements the scale areas hold scale and offset as two F16; the value of a code is offset + code * scale.
//
// The ordinals of an attention number the slots that take part, in ascending order of position; three runs of consecutive slots say
// where they are: sinks, and the one or two pieces of a ring.
#pragma once
#include "prelude.cuh"

#define MINUS_INFINITY __uint_as_float(0xff800000u)

/** The largest headDim: SlabLayout.LARGEST_DIM. */
#define MOST_DIM 256

enum { FORMAT_F32 = 0, FORMAT_F16 = 1, FORMAT_BF16 = 2, FORMAT_INT8 = 3, FORMAT_INT4 = 4 };

/** One KV head in a launch; the host writes these as 16 longs (SlabUnits.java). */
struct Unit {
    char *keys;
    char *key_scales;
    char *values;
    char *value_scales;
    i64 first0;        // first slot of run 0
    i64 end0;          // ordinal after the last of run 0
    i64 first1;
    i64 end1;
    i64 first2;
    i64 end2;          // number of ordinals
    i64 always;        // ordinals below it are visible to every token, causality permitting
    i64 window_start;  // first ordinal of token 0's window; token t's is t further, but not below always
    i64 causal_end;    // ordinal after the last that token 0 sees; token t sees t more
    i64 head;          // KV head of the layer
    float *scores;           // of each slot; null without scores
    i64 unused;
};

static __device__ __forceinline__ i64 slot_of(const Unit &unit, i64 ordinal) {
    if (ordinal < unit.end0) {
        return unit.first0 + ordinal;
    }
    return ordinal < unit.end1 ? unit.first1 + (ordinal - unit.end0) : unit.first2 + (ordinal - unit.end1);
}

static __device__ __forceinline__ i64 window_from(const Unit &unit, int token) {
    i64 from = unit.window_start + token;
    return from > unit.always ? from : unit.always;
}

static __device__ __forceinline__ bool sees(const Unit &unit, int token, i64 ordinal) {
    return ordinal < unit.causal_end + token && (ordinal < unit.always || ordinal >= window_from(unit, token));
}

/** Ordinals from .. to-1 are hidden from all tokens from first on. */
static __device__ __forceinline__ bool hidden(const Unit &unit, int first_token, i64 from, i64 to) {
    return from >= unit.always && to <= window_from(unit, first_token);
}

/** Bytes of a row without scales. */
template <int FORMAT> static __device__ __forceinline__ i64 row_bytes(int dim) {
    return FORMAT == FORMAT_F32 ? 4LL * dim : FORMAT == FORMAT_INT8 ? (i64)dim : FORMAT == FORMAT_INT4 ? dim / 2 : 2LL * dim;
}

/** Element d of a slot's row. */
template <int FORMAT>
static __device__ __forceinline__ float row_element(const char *rows, const char *scales, i64 slot, int dim, int group, int d) {
    const char *row = rows + slot * row_bytes<FORMAT>(dim);
    if (FORMAT == FORMAT_F32) {
        return ((const float *)row)[d];
    }
    if (FORMAT == FORMAT_F16) {
        return to_float(((const F16 *)row)[d]);
    }
    if (FORMAT == FORMAT_BF16) {
        return to_float(((const BF16 *)row)[d]);
    }
    int code = FORMAT == FORMAT_INT8 ? ((const u8 *)row)[d] : ((const u8 *)row)[d / 2] >> 4 * (d & 1) & 15;
    const F16 *pair = (const F16 *)scales + 2 * (slot * (dim / group) + d / group);
    return fmaf((float)code, to_float(pair[0]), to_float(pair[1]));
}
