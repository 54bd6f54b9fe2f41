// Joins the parts into which an attention over many slots was split (flash-decoding, arXiv 2311.01282, section 3): the part with
// maximum m and sum s counts 2^(m - M) s of the whole, where M is the largest maximum.
//
// Launch: grid x = rows, y = units, 128 threads; a block takes one row, its threads first the parts and then the elements, so that
// what it reads is on its way together.
//   partials  F32 [units][rows][splits][dim + 2]: maximum, sum, values; values of a part with nothing in it are zeros
//   out       F32 [tokens, heads * dim]; row = token * group + query head of the unit
#include "slab.cuh"

#define THREADS 128
#define ELEMENTS (MOST_DIM / THREADS)

extern "C" __global__ void __launch_bounds__(THREADS) merge_splits(
        const float *partials, float *out, const Unit *units, int rows, int width, int dim, int group, int splits) {
    __shared__ float maxima[THREADS / 32];
    __shared__ float factors[THREADS];
    __shared__ float sums[THREADS];
    const float *row = partials + ((i64)blockIdx.y * rows + blockIdx.x) * splits * (dim + 2);
    float most = MINUS_INFINITY;
    for (int s = threadIdx.x; s < splits; s += THREADS) {
        most = fmaxf(most, row[(i64)s * (dim + 2)]);
    }
    most = warp_max(most);
    if (threadIdx.x % 32 == 0) {
        maxima[threadIdx.x / 32] = most;
    }
    __syncthreads();
#pragma unroll
    for (int w = 0; w < THREADS / 32; w++) {
        most = fmaxf(most, maxima[w]);
    }
    float sum = 0.0f;
    float values[ELEMENTS] = {};
    for (int first = 0; first < splits; first += THREADS) {
        int count = splits - first < THREADS ? splits - first : THREADS;
        // The factors of the parts before have been read by all.
        __syncthreads();
        if ((int)threadIdx.x < count) {
            const float *part = row + (i64)(first + (int)threadIdx.x) * (dim + 2);
            float factor = exp2f(part[0] - most);
            factors[threadIdx.x] = factor;
            sums[threadIdx.x] = factor * part[1];
        }
        __syncthreads();
#pragma unroll 8
        for (int i = 0; i < count; i++) {
            const float *part = row + (i64)(first + i) * (dim + 2) + 2;
            sum += sums[i];
#pragma unroll
            for (int n = 0; n < ELEMENTS; n++) {
                int d = threadIdx.x + n * THREADS;
                values[n] = fmaf(factors[i], d < dim ? part[d] : 0.0f, values[n]);
            }
        }
    }
    float *to = out + (i64)(blockIdx.x / group) * width + (units[blockIdx.y].head * group + blockIdx.x % group) * dim;
#pragma unroll
    for (int n = 0; n < ELEMENTS; n++) {
        int d = threadIdx.x + n * THREADS;
        if (d < dim) {
            to[d] = values[n] / sum;
        }
    }
}
