// Scores of slots: the sum of the attention probabilities that the last queries of a chunk give them, over the query heads that read
// the KV head. Two passes: maximum and sum of every query row, then for every slot the sum over the rows, always in the same order.
//
// A query row is a token from first_token on and a query head: row = (token - first_token) * group + query head.
//
// score_rows   grid x = rows, y = units, 128 threads: statistics F32 [units][rows][2] = maximum, 1 / sum
// score_slots  grid x = slots / 128, y = units, 128 threads: adds to or replaces the scores of the unit's slots
//   scale      factor on the products, times log2(e)
#include "slab.cuh"

#define THREADS 128

template <int FORMAT>
static __device__ __forceinline__ float logit_of(const float *query, const Unit &unit, i64 ordinal, int dim, int quant_group) {
    i64 slot = slot_of(unit, ordinal);
    float product = 0.0f;
    for (int d = 0; d < dim; d++) {
        product = fmaf(query[d], row_element<FORMAT>(unit.keys, unit.key_scales, slot, dim, quant_group, d), product);
    }
    return product;
}

static __device__ __forceinline__ const float *query_of(
        const float *q, const Unit &unit, int token, int head, int width, int dim, int group) {
    return q + (i64)token * width + (unit.head * group + head) * dim;
}

template <int FORMAT>
static __device__ __forceinline__ void score_rows(const float *q, float *statistics, const Unit *units, int first_token, int width,
        int dim, int quant_group, int group, float scale) {
    __shared__ float maxima[THREADS];
    __shared__ float sums[THREADS];
    const Unit &unit = units[blockIdx.y];
    int token = first_token + blockIdx.x / group;
    const float *query = query_of(q, unit, token, blockIdx.x % group, width, dim, group);
    i64 end = unit.causal_end + token;
    end = end < unit.end2 ? end : unit.end2;
    float most = MINUS_INFINITY;
    float sum = 0.0f;
    for (i64 ordinal = threadIdx.x; ordinal < end; ordinal += THREADS) {
        if (sees(unit, token, ordinal)) {
            float logit = scale * logit_of<FORMAT>(query, unit, ordinal, dim, quant_group);
            float larger = fmaxf(most, logit);
            sum = sum * exp2f(most - larger) + exp2f(logit - larger);
            most = larger;
        }
    }
    maxima[threadIdx.x] = most;
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < THREADS; i++) {
            most = fmaxf(most, maxima[i]);
        }
        float total = 0.0f;
        for (int i = 0; i < THREADS; i++) {
            total += sums[i] * exp2f(maxima[i] - most);
        }
        float *to = statistics + ((i64)blockIdx.y * gridDim.x + blockIdx.x) * 2;
        to[0] = most;
        to[1] = 1.0f / total;
    }
}

template <int FORMAT>
static __device__ __forceinline__ void score_slots(const float *q, const float *statistics, const Unit *units, int first_token,
        int rows, int width, int dim, int quant_group, int group, int accumulate, float scale) {
    const Unit &unit = units[blockIdx.y];
    i64 ordinal = (i64)blockIdx.x * THREADS + threadIdx.x;
    if (ordinal >= unit.end2) {
        return;
    }
    float score = accumulate ? unit.scores[slot_of(unit, ordinal)] : 0.0f;
    for (int row = 0; row < rows; row++) {
        int token = first_token + row / group;
        if (sees(unit, token, ordinal)) {
            const float *query = query_of(q, unit, token, row % group, width, dim, group);
            float logit = scale * logit_of<FORMAT>(query, unit, ordinal, dim, quant_group);
            const float *of = statistics + ((i64)blockIdx.y * rows + row) * 2;
            score += exp2f(logit - of[0]) * of[1];
        }
    }
    unit.scores[slot_of(unit, ordinal)] = score;
}

#define SCORES(NAME, FORMAT)                                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS) score_rows_##NAME(const float *q, float *statistics,                   \
            const Unit *units, int first_token, int width, int dim, int quant_group, int group, float scale) {                   \
        score_rows<FORMAT>(q, statistics, units, first_token, width, dim, quant_group, group, scale);                            \
    }                                                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS) score_slots_##NAME(const float *q, const float *statistics,            \
            const Unit *units, int first_token, int rows, int width, int dim, int quant_group, int group, int accumulate,        \
            float scale) {                                                                                                       \
        score_slots<FORMAT>(                                                                                                     \
                q, statistics, units, first_token, rows, width, dim, quant_group, group, accumulate, scale);                     \
    }

SCORES(f32, FORMAT_F32)
SCORES(f16, FORMAT_F16)
SCORES(bf16, FORMAT_BF16)
SCORES(int8, FORMAT_INT8)
SCORES(int4, FORMAT_INT4)
