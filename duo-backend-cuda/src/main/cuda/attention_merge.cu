// Joins the parts into which an attention over many slots was split (flash-decoding, arXiv 2311.01282, section 3): the part with
// maximum m and sum s counts 2^(m - M) s of the whole, where M is the largest maximum.
//
// Launch: grid x = rows, y = units; a block takes one row, its threads the elements.
//   partials  F32 [units][rows][splits][dim + 2]: maximum, sum, values
//   out       F32 [tokens, heads * dim]; row = token * group + query head of the unit
#include "slab.cuh"

extern "C" __global__ void merge_splits(
        const float *partials, float *out, const Unit *units, int rows, int width, int dim, int group, int splits) {
    const float *row = partials + ((i64)blockIdx.y * rows + blockIdx.x) * splits * (dim + 2);
    float most = MINUS_INFINITY;
    for (int s = 0; s < splits; s++) {
        most = fmaxf(most, row[(i64)s * (dim + 2)]);
    }
    float sum = 0.0f;
    for (int s = 0; s < splits; s++) {
        const float *part = row + (i64)s * (dim + 2);
        sum = fmaf(exp2f(part[0] - most), part[1], sum);
    }
    float *to = out + (i64)(blockIdx.x / group) * width + (units[blockIdx.y].head * group + blockIdx.x % group) * dim;
    for (int d = threadIdx.x; d < dim; d += blockDim.x) {
        float value = 0.0f;
        for (int s = 0; s < splits; s++) {
            const float *part = row + (i64)s * (dim + 2);
            float factor = exp2f(part[0] - most);
            if (factor != 0.0f) {
                value = fmaf(factor, part[2 + d], value);
            }
        }
        to[d] = value / sum;
    }
}
