// What the attention kernels on the tensor cores share: operands in two terms, and codes as exact 16-bit numbers.
#pragma once
#include "slab.cuh"

// Probabilities are scaled by 2^12, so that small ones keep their bits in F16.
#define SHIFT 12.0f

#ifndef DUO_EMULATED
// An 8 x 8 matrix of 16-bit numbers, row l / 4 and columns 2 (l % 4) and the next in lane l, transposed.
static __device__ __forceinline__ u32 transposed_8x8(u32 pair) {
    u32 result;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
    return result;
}

// a - b of two F16 in a register each.
static __device__ __forceinline__ u32 sub_f16x2(u32 a, u32 b) {
    u32 result;
    asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

// a - 128 of two BF16; exact for integers up to 256.
static __device__ __forceinline__ u32 minus_128_bf16x2(u32 a) {
    u32 result;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(0x3f803f80u), "r"(0xc300c300u));
    return result;
}

// What is read once and does not push anything out of the caches.
static __device__ __forceinline__ void load_words(u32 (&to)[2], const char *from) {
    asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "l"(from));
}

static __device__ __forceinline__ void load_words(u32 (&to)[1], const char *from) {
    asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(to[0]) : "l"(from));
}
#else
static u32 transposed_8x8(u32 pair) {
    int lane = threadIdx.x % 32;
    int row = lane / 4;
    int column = lane % 4;
    u32 low = __shfl_sync(DUO_FULL_MASK, pair, 2 * column * 4 + row / 2);
    u32 high = __shfl_sync(DUO_FULL_MASK, pair, (2 * column + 1) * 4 + row / 2);
    return row % 2 == 0 ? (low & 0xffff) | high << 16 : low >> 16 | (high & 0xffff0000u);
}

static u32 sub_f16x2(u32 a, u32 b) {
    return pack_f16(low_f16(a) - low_f16(b), high_f16(a) - high_f16(b));
}

static u32 minus_128_bf16x2(u32 a) {
    return pack_bf16(low_bf16(a) - 128.0f, high_bf16(a) - 128.0f);
}

static void load_words(u32 (&to)[2], const char *from) {
    to[0] = ((const u32 *)from)[0];
    to[1] = ((const u32 *)from)[1];
}

static void load_words(u32 (&to)[1], const char *from) {
    to[0] = ((const u32 *)from)[0];
}
#endif

static __device__ __forceinline__ void load_words(u32 (&to)[4], const char *from) {
    uint4 words = load_streaming(from);
    to[0] = words.x;
    to[1] = words.y;
    to[2] = words.z;
    to[3] = words.w;
}

template <bool BRAIN> static __device__ __forceinline__ u32 pack(float low, float high) {
    return BRAIN ? pack_bf16(low, high) : pack_f16(low, high);
}

/** Two floats as two terms of 16 bits each. */
template <bool BRAIN> static __device__ __forceinline__ void two_terms(float low, float high, u32 &first, u32 &rest) {
    first = pack<BRAIN>(low, high);
    rest = BRAIN ? pack_bf16(low - low_bf16(first), high - high_bf16(first)) : pack_f16(low - low_f16(first), high - high_f16(first));
}

template <bool BRAIN> static __device__ __forceinline__ void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    if (BRAIN) {
        mma_bf16_16816(d, a, b);
    } else {
        mma_f16_16816(d, a, b);
    }
}

/** The largest power of two that is not above a positive number, and its inverse; 1 for zero. */
static __device__ __forceinline__ void power_below(float value, float &power, float &inverse) {
    u32 bits = __float_as_uint(value) & 0x7f800000u;
    bits = bits < 0x01000000u ? 0x3f800000u : bits > 0x7e000000u ? 0x7e000000u : bits;
    power = __uint_as_float(bits);
    inverse = __uint_as_float(0x7f000000u - bits);
}

/** Bytes 2 half and the next of a word as two F16. */
static __device__ __forceinline__ u32 bytes_to_f16(u32 word, int half) {
    // 1024 + code as F16 has the code in its last bits.
    return sub_f16x2(__byte_perm(word, 0x64646464u, half == 0 ? 0x4140 : 0x4342), 0x64006400u);
}

/** Bytes `first` of one word and `second` of another as two BF16. */
static __device__ __forceinline__ u32 two_bytes_to_bf16(u32 low, int first, u32 high, int second) {
    // 2^23 + code as a float has the code in its last bits; integers below 256 are exact in the upper half of a float.
    u32 a = __float_as_uint(__uint_as_float(__byte_perm(low, 0x4b000000u, 0x7440u | (u32)first)) - 8388608.0f);
    u32 b = __float_as_uint(__uint_as_float(__byte_perm(high, 0x4b000000u, 0x7440u | (u32)second)) - 8388608.0f);
    return __byte_perm(a, b, 0x7632);
}

static __device__ __forceinline__ u32 bytes_to_bf16(u32 word, int half) {
    return two_bytes_to_bf16(word, 2 * half, word, 2 * half + 1);
}

/** The codes of 4 bits at bits 0 and 16 of a word as two F16. */
static __device__ __forceinline__ u32 far_nibbles_to_f16(u32 word) {
    return sub_f16x2((word & 0x000f000fu) | 0x64006400u, 0x64006400u);
}

/** The codes of 4 bits at bits 0 and 16 of a word as two BF16. */
static __device__ __forceinline__ u32 far_nibbles_to_bf16(u32 word) {
    return minus_128_bf16x2((word & 0x000f000fu) | 0x43004300u);
}

/** The first two codes of 4 bits of a word as two F16. */
static __device__ __forceinline__ u32 nibbles_to_f16(u32 word) {
    return far_nibbles_to_f16((word & 0xfu) | (word & 0xf0u) << 12);
}

/** The first two codes of 4 bits of a word as two BF16. */
static __device__ __forceinline__ u32 nibbles_to_bf16(u32 word) {
    return far_nibbles_to_bf16((word & 0xfu) | (word & 0xf0u) << 12);
}
