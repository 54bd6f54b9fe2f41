// Kernels with what a device may get wrong, for the test of the emulation: each is right in some order of its threads only.
// Launch: 64 threads, 512 bytes of dynamic shared memory; out[i] = i + 1 for the 64 threads when nothing goes wrong.
#include "prelude.cuh"

// The other warp reads what this one writes.
static __device__ void exchange(int* out, bool barrier) {
    DUO_SHARED(int, numbers);
    numbers[threadIdx.x] = threadIdx.x + 1;
    if (barrier) {
        __syncthreads();
    }
    out[threadIdx.x ^ 32] = numbers[threadIdx.x ^ 32];
}

extern "C" __global__ void with_barrier(int* out) {
    exchange(out, true);
}

extern "C" __global__ void without_barrier(int* out) {
    exchange(out, false);
}

// Within a warp, where lanes need not be in step.
extern "C" __global__ void without_syncwarp(int* out) {
    DUO_SHARED(int, numbers);
    numbers[threadIdx.x] = threadIdx.x + 1;
    out[threadIdx.x ^ 1] = numbers[threadIdx.x ^ 1];
}

// A buffer that is filled again while slower threads still read it.
static __device__ void refill(const int* in, int* out, bool barrier) {
    DUO_SHARED(int, numbers);
    if (threadIdx.x < 16) {
        cp_async_16(numbers + 4 * threadIdx.x, in + 4 * threadIdx.x);
    }
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    out[threadIdx.x] = numbers[threadIdx.x];
    if (barrier) {
        __syncthreads();
    }
    if (threadIdx.x < 16) {
        cp_async_16(numbers + 4 * threadIdx.x, in + 64 + 4 * threadIdx.x);
    }
    cp_async_commit();
    cp_async_wait<0>();
}

extern "C" __global__ void refill_with_barrier(const int* in, int* out) {
    refill(in, out, true);
}

extern "C" __global__ void refill_without_barrier(const int* in, int* out) {
    refill(in, out, false);
}

extern "C" __global__ void without_wait(const int* in, int* out) {
    DUO_SHARED(int, numbers);
    if (threadIdx.x < 16) {
        cp_async_16(numbers + 4 * threadIdx.x, in + 4 * threadIdx.x);
    }
    cp_async_commit();
    __syncthreads();
    out[threadIdx.x] = numbers[threadIdx.x];
    cp_async_wait<0>();
}
