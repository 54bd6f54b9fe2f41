// The largest elements of rows, in order: NaN before everything, the lower index before its equals, zeros of both signs equal.
//
// An element becomes a key of 64 bits: its bits turned into an unsigned integer that is ordered as the numbers are, and below
// them its index inverted. So keys are all different, their order is the one that is asked for, and the index comes back out
// of the key. No element has key 0, which stands for none.
//
// A row is cut into parts. One pass of blocks selects from every part; further passes select from what the parts before
// selected, until one is left, which writes indices and values. Nothing depends on timing.
//
//   argmax_parts  grid x = rows * parts, 256 threads: keys [rows][parts] = the largest of each part
//   argmax_row    grid x = rows, 256 threads: the largest of a row's keys; indices, values [rows]
//   top_k_parts   grid x = rows * parts, 512 threads: the k largest of each part, by a bitonic sort (Batcher 1968) in shared
//                 memory. Keys [rows][parts][k] with none behind what a short part has, or, when there is one part,
//                 indices, values [rows][k]
//   top_k_keys    the same from keys [rows][count] that top_k_parts or itself wrote
#include "prelude.cuh"

#define ARGMAX_THREADS 256
#define SORT_THREADS 512
// Elements of a part; at least twice the largest k, so that every pass leaves half of the keys at most.
#define PART 2048

static __device__ __forceinline__ u64 key_of(float x, u32 index) {
    u32 bits = __float_as_uint(x);
    u32 twice = bits << 1;
    u32 ordered = (bits & 0x80000000u) ? ~bits : bits | 0x80000000u;
    if (twice == 0) {
        ordered = 0x80000000u;
    }
    if (twice > 0xff000000u) {
        ordered = 0xffffffffu;
    }
    return static_cast<u64>(ordered) << 32 | static_cast<u32>(~index);
}

static __device__ __forceinline__ u32 index_of(u64 key) {
    return ~static_cast<u32>(key);
}

// The largest key of a block of whole warps, in the first warp. `partial` is shared memory for 32 keys.
static __device__ __forceinline__ u64 block_max(u64 key, u64* partial) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        key = max(key, __shfl_xor_sync(DUO_FULL_MASK, key, step));
    }
    int lane = threadIdx.x % 32;
    if (lane == 0) {
        partial[threadIdx.x / 32] = key;
    }
    __syncthreads();
    key = lane < static_cast<int>(blockDim.x) / 32 ? partial[lane] : 0;
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        key = max(key, __shfl_xor_sync(DUO_FULL_MASK, key, step));
    }
    return key;
}

extern "C" __global__ void __launch_bounds__(ARGMAX_THREADS)
    duo_argmax_parts(const float* x, int width, int parts, u64* keys) {
    __shared__ u64 partial[32];
    i64 row = blockIdx.x / parts;
    u32 from = blockIdx.x % parts * PART;
    const float* elements = x + row * width;
    u64 most = 0;
#pragma unroll
    for (int i = 0; i < PART / ARGMAX_THREADS; i++) {
        u32 index = from + i * ARGMAX_THREADS + threadIdx.x;
        if (index < static_cast<u32>(width)) {
            most = max(most, key_of(elements[index], index));
        }
    }
    most = block_max(most, partial);
    if (threadIdx.x == 0) {
        keys[blockIdx.x] = most;
    }
}

extern "C" __global__ void __launch_bounds__(ARGMAX_THREADS)
    duo_argmax_row(const u64* keys, int parts, const float* x, int width, int* indices, float* values) {
    __shared__ u64 partial[32];
    i64 row = blockIdx.x;
    u64 most = 0;
    for (int i = threadIdx.x; i < parts; i += ARGMAX_THREADS) {
        most = max(most, keys[row * parts + i]);
    }
    most = block_max(most, partial);
    if (threadIdx.x == 0) {
        u32 index = index_of(most);
        indices[row] = static_cast<int>(index);
        values[row] = x[row * width + index];
    }
}

// Sorts `size` keys in shared memory, the largest first; size is a power of two.
static __device__ __forceinline__ void sort_falling(u64* keys, int size) {
    for (int run = 2; run <= size; run *= 2) {
        for (int step = run / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int pair = threadIdx.x; pair < size / 2; pair += SORT_THREADS) {
                int low = 2 * pair - (pair & (step - 1));
                int high = low + step;
                u64 a = keys[low];
                u64 b = keys[high];
                bool falling = (low & run) == 0;
                if (falling ? a < b : a > b) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
        }
    }
    __syncthreads();
}

// The least power of two that is at least n.
static __device__ __forceinline__ int power_of_two(int n) {
    return n <= 1 ? 1 : 1 << (32 - __clz(n - 1));
}

// Sorts what a part has and writes the first k: to a row of pairs when the part is all of a row, else to keys.
static __device__ __forceinline__ void select(
        u64* sorted, int size, int k, int parts, const float* elements, u64* keys, int* indices, float* values) {
    sort_falling(sorted, size);
    i64 first = static_cast<i64>(blockIdx.x) * k;
    for (int i = threadIdx.x; i < k; i += SORT_THREADS) {
        if (parts == 1) {
            u32 index = index_of(sorted[i]);
            indices[first + i] = static_cast<int>(index);
            values[first + i] = elements[index];
        } else {
            keys[first + i] = i < size ? sorted[i] : 0;
        }
    }
}

extern "C" __global__ void __launch_bounds__(SORT_THREADS) duo_top_k_parts(
        const float* x, int width, int parts, int k, u64* keys, int* indices, float* values) {
    __shared__ u64 sorted[PART];
    const float* elements = x + static_cast<i64>(blockIdx.x / parts) * width;
    u32 from = blockIdx.x % parts * PART;
    int count = static_cast<int>(min(static_cast<u32>(PART), static_cast<u32>(width) - from));
    int size = power_of_two(count);
    for (int i = threadIdx.x; i < size; i += SORT_THREADS) {
        sorted[i] = i < count ? key_of(elements[from + i], from + i) : 0;
    }
    select(sorted, size, k, parts, elements, keys, indices, values);
}

extern "C" __global__ void __launch_bounds__(SORT_THREADS) duo_top_k_keys(
        const u64* given, int row_keys, const float* x, int width, int parts, int k, u64* keys, int* indices,
        float* values) {
    __shared__ u64 sorted[PART];
    i64 row = blockIdx.x / parts;
    i64 from = static_cast<i64>(blockIdx.x % parts) * PART;
    int count = static_cast<int>(min(static_cast<i64>(PART), row_keys - from));
    int size = power_of_two(count);
    for (int i = threadIdx.x; i < size; i += SORT_THREADS) {
        sorted[i] = i < count ? given[row * row_keys + from + i] : 0;
    }
    select(sorted, size, k, parts, x + row * width, keys, indices, values);
}
