// What the kernels need to be compiled as C++: the words of CUDA, and other bodies for the prelude's PTX.
//
// A thread of a block is a fiber; barriers and operations of a warp switch between fibers. Built into one library per
// source, which calls the runtime in driver.cpp.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Where kernels are looked for, the word stays in the text.
#ifndef DUO_EMU_GLOBAL
#define DUO_EMU_GLOBAL
#endif
#define __global__ DUO_EMU_GLOBAL
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// Blocks of one launch run one after the other on one thread of the system.
#define __shared__ static thread_local
#define __constant__ static const

struct duo_dim3 {
    unsigned x, y, z;
};

// What a fiber knows of itself.
struct duo_emu_thread {
    duo_dim3 thread_index, block_index, block_dim, grid_dim;
    int lane;
    void* dynamic_shared;
};

extern "C" {
// Constant within one fiber, and kernels never change fibers.
duo_emu_thread* duo_emu_self() __attribute__((const));
void duo_emu_barrier();
// Every lane of the mask gives `size` bytes, at most 64, and gets the array of what all 32 gave, 64 bytes each, which is
// valid until its next exchange.
const unsigned char* duo_emu_exchange(unsigned mask, const void* value, size_t size);
void duo_emu_copy_async(void* shared, const void* global, int valid);
void duo_emu_copy_commit();
void duo_emu_copy_wait(int groups);
void duo_emu_fail(const char* message);
}

#define threadIdx (duo_emu_self()->thread_index)
#define blockIdx (duo_emu_self()->block_index)
#define blockDim (duo_emu_self()->block_dim)
#define gridDim (duo_emu_self()->grid_dim)
#define warpSize 32

struct __align__(8) float2 {
    float x, y;
};
struct __align__(16) float4 {
    float x, y, z, w;
};
struct __align__(8) uint2 {
    unsigned x, y;
};
struct __align__(16) uint4 {
    unsigned x, y, z, w;
};
struct __align__(8) int2 {
    int x, y;
};
struct __align__(16) int4 {
    int x, y, z, w;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

#define DUO_SHARED(type, name) type* name = reinterpret_cast<type*>(duo_emu_self()->dynamic_shared)

static inline void __syncthreads() { duo_emu_barrier(); }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { duo_emu_exchange(mask, "", 0); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

template <typename T>
static inline T duo_emu_shuffle(unsigned mask, T value, int source) {
    const unsigned char* all = duo_emu_exchange(mask, &value, sizeof(T));
    if (!(mask >> source & 1)) {
        duo_emu_fail("a shuffle reads a lane that is not in its mask");
    }
    T result;
    memcpy(&result, all + 64 * source, sizeof(T));
    return result;
}
template <typename T>
static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    int lane = duo_emu_self()->lane;
    return duo_emu_shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)));
}
template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    int lane = duo_emu_self()->lane;
    int source = lane ^ lanes;
    return duo_emu_shuffle(mask, value, source / width > lane / width ? lane : source);
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = duo_emu_self()->lane;
    int source = lane + static_cast<int>(delta);
    return duo_emu_shuffle(mask, value, source / width != lane / width ? lane : source);
}
template <typename T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    int lane = duo_emu_self()->lane;
    int source = lane - static_cast<int>(delta);
    return duo_emu_shuffle(mask, value, source < 0 || source / width != lane / width ? lane : source);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
    unsigned char value = predicate != 0;
    const unsigned char* all = duo_emu_exchange(mask, &value, 1);
    unsigned votes = 0;
    for (int i = 0; i < 32; i++) {
        if (mask >> i & 1) {
            votes |= static_cast<unsigned>(all[64 * i]) << i;
        }
    }
    return votes;
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }

static inline int atomicAdd(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
static inline unsigned atomicAdd(unsigned* p, unsigned v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
static inline unsigned long long atomicAdd(unsigned long long* p, unsigned long long v) {
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
static inline float atomicAdd(float* p, float v) {
    float old = *p;
    while (true) {
        float next = old + v;
        if (__atomic_compare_exchange(p, &old, &next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return old;
        }
    }
}
static inline int atomicMax(int* p, int v) {
    int old = *p;
    while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return old;
}
static inline int atomicExch(int* p, int v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
static inline unsigned atomicExch(unsigned* p, unsigned v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
static inline int atomicCAS(int* p, int expected, int v) {
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}

template <typename T>
static inline T __ldg(const T* p) { return *p; }
template <typename T>
static inline T __ldcg(const T* p) { return *p; }
template <typename T>
static inline T __ldcs(const T* p) { return *p; }
template <typename T>
static inline void __stcs(T* p, T v) { *p = v; }

static inline float __uint_as_float(unsigned x) { float f; memcpy(&f, &x, 4); return f; }
static inline float __int_as_float(int x) { float f; memcpy(&f, &x, 4); return f; }
static inline unsigned __float_as_uint(float x) { unsigned u; memcpy(&u, &x, 4); return u; }
static inline int __float_as_int(float x) { int i; memcpy(&i, &x, 4); return i; }
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    unsigned long long bytes = x | static_cast<unsigned long long>(y) << 32;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned choice = selector >> 4 * i & 15;
        unsigned byte = bytes >> 8 * (choice & 7) & 255;
        result |= (choice & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
    }
    return result;
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __float2int_rn(float x) { return static_cast<int>(rintf(x)); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
// The C library declares the name for itself.
#define __expf duo_emu_expf
static inline float __expf(float x) { return expf(x); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline void sincospi(double x, double* sine, double* cosine) {
    double turned = remainder(x, 2);
    *sine = sin(M_PI * turned);
    *cosine = cos(M_PI * turned);
}
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline float __saturatef(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
#define DUO_EMU_MIN_MAX(T)                                     \
    static inline T min(T a, T b) { return a < b ? a : b; } \
    static inline T max(T a, T b) { return a > b ? a : b; }
DUO_EMU_MIN_MAX(int)
DUO_EMU_MIN_MAX(unsigned)
DUO_EMU_MIN_MAX(long long)
DUO_EMU_MIN_MAX(unsigned long long)
DUO_EMU_MIN_MAX(float)
DUO_EMU_MIN_MAX(double)

// The prelude's functions.

static inline float to_float(F16 x) {
    unsigned sign = static_cast<unsigned>(x.bits & 0x8000) << 16;
    int exponent = x.bits >> 10 & 31;
    unsigned mantissa = x.bits & 1023;
    if (exponent == 31) {
        return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
    }
    // The bits in their places for a float, whose exponent is then 112 too small; exact for subnormal numbers too.
    return __uint_as_float(sign | static_cast<unsigned>(x.bits & 0x7fff) << 13) * 0x1p112f;
}
static inline F16 to_f16(float x) {
    unsigned bits = __float_as_uint(x);
    u16 sign = static_cast<u16>(bits >> 16 & 0x8000);
    float size = fabsf(x);
    if (size != size) {
        return {0x7fff};
    }
    if (size >= 65520.0f) {
        return {static_cast<u16>(sign | 0x7c00)};
    }
    if (size == 0) {
        return {sign};
    }
    int exponent;
    frexpf(size, &exponent);
    int ulp = (exponent < -13 ? -13 : exponent) - 11;
    // An integer number of units in the last place, rounded to even; the exponent field follows from carrying.
    int units = static_cast<int>(rintf(ldexpf(size, -ulp)));
    int field = ulp + 24;
    return {static_cast<u16>(sign | (field == 0 ? units : (field << 10) + units))};
}
static inline BF16 to_bf16(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) {
        return {0x7fff};
    }
    return {static_cast<u16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
static inline u32 pack_f16(float low, float high) {
    return to_f16(low).bits | static_cast<u32>(to_f16(high).bits) << 16;
}
static inline u32 pack_bf16(float low, float high) {
    return to_bf16(low).bits | static_cast<u32>(to_bf16(high).bits) << 16;
}
// With the error that the instruction may have.
static inline float fast_exp2(float x) {
    float value = exp2f(x) * (1.0f - 0x1p-23f);
    return value < 0x1p-126f ? 0.0f : value;
}

// The emulation spends most of its time in sums of products: two at a time, exact in double.
typedef float duo_emu_floats __attribute__((vector_size(8)));
typedef double duo_emu_doubles __attribute__((vector_size(16)));
static inline duo_emu_doubles duo_emu_widened(const unsigned char* address) {
    duo_emu_floats pair;
    memcpy(&pair, address, sizeof pair);
    return __builtin_convertvector(pair, duo_emu_doubles);
}

template <typename Half, float (*value)(Half)>
static inline void duo_emu_mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    // Every lane widens its own numbers, so that each is widened once.
    const u32 registers[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    float mine[12];
    for (int i = 0; i < 12; i++) {
        Half half = {static_cast<u16>(registers[i / 2] >> i % 2 * 16)};
        mine[i] = value(half);
    }
    const unsigned char* all = duo_emu_exchange(0xffffffffu, mine, sizeof mine);
    int lane = duo_emu_self()->lane;
    // Two rows of a and two columns of b, of which each of four lanes has k = 2c, 2c + 1 and the same plus 8: whose
    // registers they are, and which.
    duo_emu_doubles sums[4] = {};
    for (int c = 0; c < 4; c++) {
        const unsigned char* rows = all + 64 * (lane / 4 * 4 + c);
        const unsigned char* columns = all + 64 * (lane % 4 * 8 + c);
        for (int half = 0; half < 2; half++) {
            duo_emu_doubles upper = duo_emu_widened(rows + 16 * half);
            duo_emu_doubles lower = duo_emu_widened(rows + 16 * half + 8);
            duo_emu_doubles left = duo_emu_widened(columns + 32 + 8 * half);
            duo_emu_doubles right = duo_emu_widened(columns + 4 * 64 + 32 + 8 * half);
            sums[0] += upper * left;
            sums[1] += upper * right;
            sums[2] += lower * left;
            sums[3] += lower * right;
        }
    }
    for (int i = 0; i < 4; i++) {
        double sum = d[i] + (sums[i][0] + sums[i][1]);
        // Tensor cores truncate.
        float rounded = static_cast<float>(sum);
        d[i] = fabs(static_cast<double>(rounded)) > fabs(sum) ? nextafterf(rounded, 0.0f) : rounded;
    }
}
static inline float duo_emu_bf16(BF16 x) { return __uint_as_float(static_cast<u32>(x.bits) << 16); }
static inline void mma_bf16_16816(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    duo_emu_mma<BF16, duo_emu_bf16>(d, a, b);
}
static inline void mma_f16_16816(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    duo_emu_mma<F16, to_float>(d, a, b);
}

static inline void duo_emu_ldmatrix(u32 (&r)[4], const void* row, bool transposed) {
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) {
        duo_emu_fail("ldmatrix from an address that is not aligned to 16 bytes");
    }
    u16 mine[8];
    memcpy(mine, row, 16);
    const unsigned char* all = duo_emu_exchange(0xffffffffu, mine, 16);
    int lane = duo_emu_self()->lane;
    for (int m = 0; m < 4; m++) {
        u16 element[2];
        for (int i = 0; i < 2; i++) {
            int line = transposed ? lane % 4 * 2 + i : lane / 4;
            int column = transposed ? lane / 4 : lane % 4 * 2 + i;
            memcpy(&element[i], all + 64 * (8 * m + line) + 2 * column, 2);
        }
        r[m] = element[0] | static_cast<u32>(element[1]) << 16;
    }
}
static inline void ldmatrix_x4(u32 (&r)[4], const void* row) { duo_emu_ldmatrix(r, row, false); }
static inline void ldmatrix_x4_trans(u32 (&r)[4], const void* row) { duo_emu_ldmatrix(r, row, true); }
static inline void cp_async_16(void* shared, const void* global) { duo_emu_copy_async(shared, global, 1); }
static inline void cp_async_16_or_zero(void* shared, const void* global, bool valid) {
    duo_emu_copy_async(shared, global, valid);
}
static inline void cp_async_commit() { duo_emu_copy_commit(); }
template <int Groups>
static inline void cp_async_wait() { duo_emu_copy_wait(Groups); }
static inline uint4 load_streaming(const void* address) { return *static_cast<const uint4*>(address); }

// How the runtime calls a kernel: one function per entry point.
template <size_t... I>
struct duo_emu_indices {};
template <size_t N, size_t... I>
struct duo_emu_make : duo_emu_make<N - 1, N - 1, I...> {};
template <size_t... I>
struct duo_emu_make<0, I...> {
    typedef duo_emu_indices<I...> type;
};
template <typename T>
static inline T duo_emu_argument(const unsigned long long* values, size_t i) {
    static_assert(sizeof(T) <= 8, "a kernel parameter has at most 8 bytes");
    T value;
    memcpy(&value, values + i, sizeof(T));
    return value;
}
template <typename... A, size_t... I>
static inline void duo_emu_apply(void (*kernel)(A...), const unsigned long long* values, duo_emu_indices<I...>) {
    (void)values;
    kernel(duo_emu_argument<A>(values, I)...);
}
template <typename... A>
static inline void duo_emu_invoke(void (*kernel)(A...), const unsigned long long* values) {
    duo_emu_apply(kernel, values, typename duo_emu_make<sizeof...(A)>::type());
}
template <typename... A>
static inline int duo_emu_count(void (*)(A...)) { return sizeof...(A); }
#define DUO_EMU_ENTRY(name)                                                                                        \
    extern "C" void duo_entry_##name(const unsigned long long* values) { duo_emu_invoke(name, values); } \
    extern "C" int duo_count_##name() { return duo_emu_count(name); }
