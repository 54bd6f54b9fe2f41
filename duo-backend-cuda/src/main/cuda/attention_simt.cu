// Attention of some query rows over a slab's head, in F32 on the ordinary cores: the plain form, for F32 caches, any head size and any
// group of query heads. Online softmax after arXiv 1805.02867, in tiles as in FlashAttention (arXiv 2205.14135).
//
// A query row is a token and one of the query heads that read the KV head: row = token * group + query head. A block takes up to ROWS
// rows of one KV head, so that keys and values are read once for the query heads that share them. With splits > 1 a block takes one
// part of the ordinals and leaves maximum, sum and weighted values for attention_merge.cu; how many parts there are does not depend
// on how long the slab is.
//
// Launch: 256 threads; grid x = row blocks * splits, y = units; shared memory ROWS * dim + TILE * (2 * dim + 1) + ROWS * TILE + 3 *
// ROWS floats.
//   q, out    F32 [tokens, heads * dim]
//   partials  F32 [units][rows][splits][dim + 2]: maximum, sum, values; only with splits > 1
//   scale     factor on the products, times log2(e): exponentials are powers of two
#include "slab.cuh"

#define ROWS 16
#define TILE 32
#define THREADS 256
#define OUTPUTS (ROWS * MOST_DIM / THREADS)

template <int FORMAT>
static __device__ __forceinline__ void attend(const float *q, float *out, float *partials, const Unit *units, int tokens, int width,
        int dim, int quant_group, int group, int splits, float scale) {
    DUO_SHARED(float, memory);
    float *queries = memory;                          // [ROWS][dim]
    float *keys = queries + ROWS * dim;               // [TILE][dim + 1]
    float *values = keys + TILE * (dim + 1);          // [TILE][dim]
    float *weights = values + TILE * dim;             // [ROWS][TILE]
    float *maximum = weights + ROWS * TILE;           // [ROWS]
    float *sum = maximum + ROWS;                      // [ROWS]
    float *shrink = sum + ROWS;                       // [ROWS]
    const Unit &unit = units[blockIdx.y];
    int thread = threadIdx.x;
    int split = blockIdx.x % splits;
    i64 first_row = (i64)(blockIdx.x / splits) * ROWS;
    i64 all_rows = (i64)tokens * group;
    int rows = all_rows - first_row < ROWS ? (int)(all_rows - first_row) : ROWS;
    int first_token = (int)(first_row / group);
    int last_token = (int)((first_row + rows - 1) / group);

    for (int i = thread; i < rows * dim; i += THREADS) {
        i64 row = first_row + i / dim;
        queries[i] = scale * q[row / group * width + (unit.head * group + row % group) * dim + i % dim];
    }
    if (thread < ROWS) {
        maximum[thread] = MINUS_INFINITY;
        sum[thread] = 0.0f;
    }
    float result[OUTPUTS];
#pragma unroll
    for (int i = 0; i < OUTPUTS; i++) {
        result[i] = 0.0f;
    }
    i64 end = unit.causal_end + last_token;
    end = end < unit.end2 ? end : unit.end2;
    i64 part = (end + splits - 1) / splits;
    part = (part + TILE - 1) / TILE * TILE;
    i64 from = split * part;
    end = from + part < end ? from + part : end;
    for (i64 tile = from; tile < end; tile += TILE) {
        int count = end - tile < TILE ? (int)(end - tile) : TILE;
        if (hidden(unit, first_token, tile, tile + count)) {
            continue;
        }
        __syncthreads();
        for (int i = thread; i < count * dim; i += THREADS) {
            i64 slot = slot_of(unit, tile + i / dim);
            keys[i / dim * (dim + 1) + i % dim] = row_element<FORMAT>(unit.keys, unit.key_scales, slot, dim, quant_group, i % dim);
            values[i] = row_element<FORMAT>(unit.values, unit.value_scales, slot, dim, quant_group, i % dim);
        }
        __syncthreads();
        for (int i = thread; i < ROWS * TILE; i += THREADS) {
            int row = i / TILE;
            int slot = i % TILE;
            float logit = MINUS_INFINITY;
            if (row < rows && slot < count && sees(unit, (int)((first_row + row) / group), tile + slot)) {
                logit = 0.0f;
                for (int d = 0; d < dim; d++) {
                    logit = fmaf(queries[row * dim + d], keys[slot * (dim + 1) + d], logit);
                }
            }
            weights[i] = logit;
        }
        __syncthreads();
        if (thread < rows) {
            float most = maximum[thread];
            for (int slot = 0; slot < count; slot++) {
                most = fmaxf(most, weights[thread * TILE + slot]);
            }
            float base = most == MINUS_INFINITY ? 0.0f : most;
            float total = 0.0f;
            for (int slot = 0; slot < count; slot++) {
                float weight = exp2f(weights[thread * TILE + slot] - base);
                weights[thread * TILE + slot] = weight;
                total += weight;
            }
            float factor = exp2f(maximum[thread] - base);
            sum[thread] = sum[thread] * factor + total;
            shrink[thread] = factor;
            maximum[thread] = most;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < OUTPUTS; i++) {
            int index = thread + i * THREADS;
            int row = index / dim;
            if (row < rows) {
                int d = index - row * dim;
                float value = result[i] * shrink[row];
                for (int slot = 0; slot < count; slot++) {
                    value = fmaf(weights[row * TILE + slot], values[slot * dim + d], value);
                }
                result[i] = value;
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < OUTPUTS; i++) {
        int index = thread + i * THREADS;
        int row = index / dim;
        if (row < rows) {
            int d = index - row * dim;
            i64 at = first_row + row;
            if (splits == 1) {
                out[at / group * width + (unit.head * group + at % group) * dim + d] = result[i] / sum[row];
            } else {
                partials[((blockIdx.y * all_rows + at) * splits + split) * (dim + 2) + 2 + d] = result[i];
            }
        }
    }
    if (splits > 1 && thread < rows) {
        float *partial = partials + ((blockIdx.y * all_rows + first_row + thread) * splits + split) * (dim + 2);
        partial[0] = maximum[thread];
        partial[1] = sum[thread];
    }
}

// Two of them run on a multiprocessor at a time (AttentionKernel.java knows).
#define ATTEND(NAME, FORMAT)                                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) NAME(const float *q, float *out, float *partials,                   \
            const Unit *units, int tokens, int width, int dim, int quant_group, int group, int splits, float scale) {            \
        attend<FORMAT>(q, out, partials, units, tokens, width, dim, quant_group, group, splits, scale);                          \
    }

ATTEND(attend_simt_f32, FORMAT_F32)
ATTEND(attend_simt_f16, FORMAT_F16)
ATTEND(attend_simt_bf16, FORMAT_BF16)
ATTEND(attend_simt_int8, FORMAT_INT8)
ATTEND(attend_simt_int4, FORMAT_INT4)
