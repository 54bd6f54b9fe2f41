// Keeps some rows of an array and moves them to its front, in place.
//
// The kept indices ascend, so a row's target never comes after its source, and what a batch writes lies before everything that later
// batches read: each batch is read completely, then written.
//
// Launch: one block per array (grid x); arrays are rows of bytes: the key rows, scales, value rows, scales or scores of one head.
//   arrays  for each: address, bytes of a row, index of the first of its kept rows in keep
#include "slab.cuh"

struct Rows {
    char *address;
    i64 bytes;
    i64 keep;
};

template <class WORD> static __device__ __forceinline__ void compact(const Rows &rows, const int *keep, int count) {
    i64 words = rows.bytes / (i64)sizeof(WORD);
    WORD *data = (WORD *)rows.address;
    for (i64 first = 0; first < count * words; first += blockDim.x) {
        i64 at = first + threadIdx.x;
        bool mine = at < count * words;
        WORD word = WORD();
        if (mine) {
            word = data[keep[at / words] * words + at % words];
        }
        __syncthreads();
        if (mine) {
            data[at] = word;
        }
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(1024) compact_rows(const Rows *arrays, const int *keep, int count) {
    const Rows rows = arrays[blockIdx.x];
    const int *kept = keep + rows.keep;
    i64 bits = (i64)rows.address | rows.bytes;
    if (bits % 8 == 0) {
        compact<u64>(rows, kept, count);
    } else if (bits % 4 == 0) {
        compact<u32>(rows, kept, count);
    } else if (bits % 2 == 0) {
        compact<u16>(rows, kept, count);
    } else {
        compact<u8>(rows, kept, count);
    }
}
