// The only header of the kernels. It needs no headers of CUDA or C++, because the runtime compiler ships none.
//
// Whatever has PTX in it has its body under #ifndef DUO_EMULATED: the tests compile the kernels as C++ for a driver that
// is emulated, and their header supplies the other body.
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// IEEE binary16 and bfloat16 in memory. Arithmetic is in float.
struct F16 {
    u16 bits;
};
struct BF16 {
    u16 bits;
};

#define DUO_FULL_MASK 0xffffffffu

#ifdef DUO_EMULATED
#include "emulation.hpp"
#else

// Dynamic shared memory as an array of `type` called `name`; 16-byte aligned. All uses in one kernel name the same bytes.
#define DUO_SHARED(type, name)                                        \
    extern __shared__ __align__(16) unsigned char duo_shared_bytes[]; \
    type* name = reinterpret_cast<type*>(duo_shared_bytes)

__device__ __forceinline__ float to_float(F16 x) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x.bits));
    return value;
}

__device__ __forceinline__ F16 to_f16(float x) {
    F16 value;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(value.bits) : "f"(x));
    return value;
}

__device__ __forceinline__ BF16 to_bf16(float x) {
    BF16 value;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(value.bits) : "f"(x));
    return value;
}

// Two numbers in one register, `low` in the lower half.
__device__ __forceinline__ u32 pack_f16(float low, float high) {
    u32 value;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(value) : "f"(high), "f"(low));
    return value;
}

__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    u32 value;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(value) : "f"(high), "f"(low));
    return value;
}

// 2^x, with a relative error of 2^-22; 0 for -inf.
__device__ __forceinline__ float fast_exp2(float x) {
    float value;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
    return value;
}

__device__ __forceinline__ u32 shared_address(const void* shared) {
    u64 address;
    asm("cvta.to.shared.u64 %0, %1;" : "=l"(address) : "l"(shared));
    return static_cast<u32>(address);
}

// d += a * b for tiles of 16 x 16 (row-major) and 16 x 8 (column-major) numbers spread over a warp, as PTX lays out
// mma.m16n8k16: with g = lane / 4 and t = lane % 4, a holds (g, 2t..), (g+8, 2t..), (g, 2t+8..), (g+8, 2t+8..); b holds
// (2t.., g), (2t+8.., g); d holds (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
__device__ __forceinline__ void mma_bf16_16816(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void mma_f16_16816(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 matrices of 16-bit numbers from shared memory: lane l names row l % 8 of matrix l / 8, 16 bytes aligned to
// 16; afterwards it holds elements (l / 4, 2 (l % 4)) and the next of each.
__device__ __forceinline__ void ldmatrix_x4(u32 (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// As ldmatrix_x4, each matrix transposed: elements (2 (l % 4), l / 4) and (2 (l % 4) + 1, l / 4).
__device__ __forceinline__ void ldmatrix_x4_trans(u32 (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// Begins a copy of 16 bytes, both sides aligned to 16, past the first-level cache. It is there after cp_async_wait, for
// other threads after a barrier that follows.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
}

// As cp_async_16, or zeros without reading when not valid; `global` is an address that exists all the same.
__device__ __forceinline__ void cp_async_16_or_zero(void* shared, const void* global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global),
                 "r"(valid ? 16 : 0)
                 : "memory");
}

// Ends a group of copies.
__device__ __forceinline__ void cp_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most `Groups` of the latest groups are under way.
template <int Groups>
__device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory");
}

// 16 bytes that are read once: they do not push anything out of the caches.
__device__ __forceinline__ uint4 load_streaming(const void* address) {
    uint4 value;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                 : "l"(address));
    return value;
}

#endif

__device__ __forceinline__ float to_float(float x) {
    return x;
}

__device__ __forceinline__ float to_float(BF16 x) {
    return __uint_as_float(static_cast<u32>(x.bits) << 16);
}

// The two bfloat16 of a register as floats.
__device__ __forceinline__ float low_bf16(u32 pair) {
    return __uint_as_float(pair << 16);
}

__device__ __forceinline__ float high_bf16(u32 pair) {
    return __uint_as_float(pair & 0xffff0000u);
}

__device__ __forceinline__ float low_f16(u32 pair) {
    F16 x = {static_cast<u16>(pair)};
    return to_float(x);
}

__device__ __forceinline__ float high_f16(u32 pair) {
    F16 x = {static_cast<u16>(pair >> 16)};
    return to_float(x);
}

// Numbers that one 16-byte load brings.
template <typename T>
struct Vector {
    static const int count = 16 / sizeof(T);
};

__device__ __forceinline__ void to_floats(float (&out)[4], uint4 bits, float) {
    out[0] = __uint_as_float(bits.x);
    out[1] = __uint_as_float(bits.y);
    out[2] = __uint_as_float(bits.z);
    out[3] = __uint_as_float(bits.w);
}

__device__ __forceinline__ void to_floats(float (&out)[8], uint4 bits, F16) {
    out[0] = low_f16(bits.x);
    out[1] = high_f16(bits.x);
    out[2] = low_f16(bits.y);
    out[3] = high_f16(bits.y);
    out[4] = low_f16(bits.z);
    out[5] = high_f16(bits.z);
    out[6] = low_f16(bits.w);
    out[7] = high_f16(bits.w);
}

__device__ __forceinline__ void to_floats(float (&out)[8], uint4 bits, BF16) {
    out[0] = low_bf16(bits.x);
    out[1] = high_bf16(bits.x);
    out[2] = low_bf16(bits.y);
    out[3] = high_bf16(bits.y);
    out[4] = low_bf16(bits.z);
    out[5] = high_bf16(bits.z);
    out[6] = low_bf16(bits.w);
    out[7] = high_bf16(bits.w);
}

// The sum over a warp, in every lane. The whole warp takes part.
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        x += __shfl_xor_sync(DUO_FULL_MASK, x, step);
    }
    return x;
}

// The largest number of a warp, in every lane. The whole warp takes part.
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        x = fmaxf(x, __shfl_xor_sync(DUO_FULL_MASK, x, step));
    }
    return x;
}

// The sum over a block of whole warps, in every thread. `partial` is shared memory for 32 floats that nothing else uses.
__device__ __forceinline__ float block_sum(float x, float* partial) {
    int warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    x = warp_sum(x);
    // What an earlier call left there has been read by all.
    __syncthreads();
    if (lane == 0) {
        partial[warp] = x;
    }
    __syncthreads();
    x = lane < static_cast<int>(blockDim.x) / 32 ? partial[lane] : 0.0f;
    return warp_sum(x);
}
