// Attention of few query rows (a decode step, or the tokens of a proposal) over a long head, on the tensor cores: split-KV flash-decoding (arXiv 2311.01282). It is
// bound by the bytes of the cache: every key and value row is read once for all query heads that share it, straight into registers,
// and converted there; nothing is staged in shared memory.
//
// A warp takes 16 slots at a time and up to 8 query rows (row = token * group + query head) and computes the transposed products
//   S' = K Q'   16 slots x 8 rows, over the elements        O' = V' P'   16 elements x 8 rows, over the slots
// so that no part of a tile is idle. In which order elements (for S') and slots (for O') are summed does not matter: lanes take them
// as they lie in memory, wide and contiguous, and the queries are arranged to match.
//
// Precision: F32 operands are multiplied in two terms (a 16-bit number and the 16-bit rest), so that queries and probabilities keep 16
// to 22 bits. Codes of 4 and 8 bits are exact as F16 and BF16; scale and offset are applied in F32: with code c, scale s and offset
// o,  q k = s (q c) + o sum(q)  per group, and  p v = (p s) c + p o.
//
// Launch: 128 threads; grid x = splits * row blocks, y = units. A block takes one part of the ordinals of one head; how many parts there
// are does not depend on how long the slab is. The parts are joined by attention_merge.cu. Blocks of 8 rows over the same part
// follow each other, so that all but the first find it in the second-level cache.
//   q         F32 [tokens, width]
//   partials  F32 [units][rows][splits][DIM + 2]: maximum, sum, values
//   scale     factor on the products, times log2(e): exponentials are powers of two
#include "tensor.cuh"

#define WARPS 4
#define TILE 16
#define MOST_ROWS 8
/** How the elements of rows are shared among lanes, for GROUPS groups of DIM / GROUPS elements. */
template <int FORMAT, int DIM, int GROUPS> struct Shares {
    static constexpr int BITS = FORMAT == FORMAT_INT8 ? 8 : FORMAT == FORMAT_INT4 ? 4 : 16;
    static constexpr int PER_WORD = 32 / BITS;
    static constexpr bool QUANTIZED = BITS < 16;
    static constexpr int GROUP = DIM / GROUPS;
    static constexpr int MOST = 128 / BITS;  // elements of a load of 16 bytes

    // Keys: each of 4 lanes has DIM / 4 elements of a slot, in pieces of KEY_PIECE; 4 pieces lie in one group.
    static constexpr int KEY_SHARE = DIM / 4;
    static constexpr int KEY_LIMIT = GROUPS == 1 ? KEY_SHARE : 8;
    static constexpr int KEY_PIECE = KEY_LIMIT < MOST ? KEY_LIMIT : MOST;
    static constexpr int KEY_PIECES = KEY_SHARE / KEY_PIECE;
    static constexpr int KEY_WORDS = KEY_PIECE / PER_WORD;

    // Values: each of 8 lanes has DIM / 8 elements of a slot, in pieces of VALUE_PIECE; 8 pieces lie in one group.
    static constexpr int VALUE_SHARE = DIM / 8;
    static constexpr int VALUE_LIMIT = GROUP / 8;
    static constexpr int VALUE_PIECE = VALUE_LIMIT < MOST ? VALUE_LIMIT : MOST;
    static constexpr int VALUE_PIECES = VALUE_SHARE / VALUE_PIECE;
    static constexpr int VALUE_WORDS = VALUE_PIECE / PER_WORD;

    static_assert(KEY_WORDS >= 1 && VALUE_WORDS >= 1, "a piece is a word at least");

    static __device__ __forceinline__ int key_element(int lane, int index) {
        return index / KEY_PIECE * 4 * KEY_PIECE + lane * KEY_PIECE + index % KEY_PIECE;
    }

    /** The group of a key element is that of its piece, for all lanes. */
    static __device__ __forceinline__ int key_group(int index) {
        return index / KEY_PIECE * 4 * KEY_PIECE / GROUP;
    }

    /** Which elements of a share make up step `step` of 4: those of 4 bits lie in the halves of a word as two 16-bit numbers each. */
    static __device__ __forceinline__ int key_index(int step, int which) {
        if (BITS != 4) {
            return 4 * step + which;
        }
        return step / 2 * 8 + step % 2 * 2 + which / 2 + which % 2 * 4;
    }

    static __device__ __forceinline__ int value_element(int lane, int index) {
        return index / VALUE_PIECE * 8 * VALUE_PIECE + lane * VALUE_PIECE + index % VALUE_PIECE;
    }

    static __device__ __forceinline__ int value_group(int index) {
        return index / VALUE_PIECE * 8 * VALUE_PIECE / GROUP;
    }
};

/** Two pairs of 16-bit numbers: the elements of step `step` of a share of keys. Codes become F16. */
template <int FORMAT>
static __device__ __forceinline__ void key_pairs(const u32 *words, int step, u32 &first, u32 &second) {
    if (FORMAT == FORMAT_INT8) {
        first = bytes_to_f16(words[step], 0);
        second = bytes_to_f16(words[step], 1);
    } else if (FORMAT == FORMAT_INT4) {
        u32 word = words[step / 2] >> 8 * (step % 2);
        first = far_nibbles_to_f16(word);
        second = far_nibbles_to_f16(word >> 4);
    } else {
        first = words[2 * step];
        second = words[2 * step + 1];
    }
}

/** Element `index` of two shares of values as a pair. Codes become BF16. */
template <int FORMAT> static __device__ __forceinline__ u32 value_pair(const u32 *low, const u32 *high, int index) {
    if (FORMAT == FORMAT_INT8) {
        return two_bytes_to_bf16(low[index / 4], index % 4, high[index / 4], index % 4);
    }
    if (FORMAT == FORMAT_INT4) {
        u32 four = __byte_perm(low[index / 8], high[index / 8], index % 8 < 4 ? 0x5410 : 0x7632);
        return far_nibbles_to_bf16(four >> 4 * (index % 4));
    }
    return __byte_perm(low[index / 2], high[index / 2], index % 2 == 0 ? 0x5410 : 0x7632);
}

static __device__ __forceinline__ float sum_of_quad(float x) {
    x += __shfl_xor_sync(DUO_FULL_MASK, x, 1);
    return x + __shfl_xor_sync(DUO_FULL_MASK, x, 2);
}

static __device__ __forceinline__ float sum_of_slots(float x) {
    x += __shfl_xor_sync(DUO_FULL_MASK, x, 4);
    x += __shfl_xor_sync(DUO_FULL_MASK, x, 8);
    return x + __shfl_xor_sync(DUO_FULL_MASK, x, 16);
}

static __device__ __forceinline__ float max_of_slots(float x) {
    x = fmaxf(x, __shfl_xor_sync(DUO_FULL_MASK, x, 4));
    x = fmaxf(x, __shfl_xor_sync(DUO_FULL_MASK, x, 8));
    return fmaxf(x, __shfl_xor_sync(DUO_FULL_MASK, x, 16));
}

/** Scale and offset, two F16 in a word. */
static __device__ __forceinline__ u32 scale_of(const char *scales, i64 slot, int groups, int group) {
    return ((const u32 *)scales)[slot * groups + group];
}

template <int FORMAT, int DIM, int GROUPS>
static __device__ __forceinline__ void decode(
        const float *q, float *partials, const Unit *units, int tokens, int width, int group, int splits, float scale) {
    typedef Shares<FORMAT, DIM, GROUPS> S;
    constexpr bool KEYS_BRAIN = FORMAT == FORMAT_BF16;
    constexpr bool VALUES_BRAIN = FORMAT != FORMAT_F16;
    constexpr int STEPS = DIM / 16;
    constexpr i64 ROW_BYTES = (i64)DIM * S::BITS / 8;
    __shared__ float merged[WARPS][MOST_ROWS][DIM + 1];
    __shared__ float maxima[WARPS][MOST_ROWS];
    __shared__ float sums[WARPS][MOST_ROWS];
    const Unit &unit = units[blockIdx.y];
    const int row_blocks = gridDim.x / splits;
    const int split = blockIdx.x / row_blocks;
    const int first_row = blockIdx.x % row_blocks * MOST_ROWS;
    const int all_rows = tokens * group;
    const int rows = all_rows - first_row < MOST_ROWS ? all_rows - first_row : MOST_ROWS;
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int eighth = lane / 4;  // slot of a tile of keys, elements of values, query row of an operand
    const int quarter = lane % 4;  // elements of keys, slots of values, two query rows of a result

    float *const results = partials + (((i64)blockIdx.y * all_rows + first_row) * splits + split) * (DIM + 2);

    // Ordinals of rows of this size fit 31 bits in any memory there is.
    const int first_token = first_row / group;
    const int last_token = (first_row + rows - 1) / group;
    int end = (int)unit.causal_end + last_token;
    end = end < (int)unit.end2 ? end : (int)unit.end2;
    int part = (end + splits - 1) / splits;
    part = (part + WARPS * TILE - 1) / (WARPS * TILE) * (WARPS * TILE);
    const int from = split * part;
    end = end - from > part ? from + part : end;
    // Most parts of a streaming head: there are as many as a long head has.
    if (from >= end) {
        for (int i = threadIdx.x; i < rows * (DIM + 2); i += WARPS * 32) {
            results[(i64)(i / (DIM + 2)) * splits * (DIM + 2) + i % (DIM + 2)] = i % (DIM + 2) == 0 ? MINUS_INFINITY : 0.0f;
        }
        return;
    }

    // Queries: row `eighth`, this lane's share of the elements, scaled so that the largest is between 1 and 2.
    u32 query[STEPS][2];
    u32 query_rest[STEPS][2];
    float query_sums[GROUPS][2];
    float power[2];
    {
        float elements[S::KEY_SHARE];
        float largest = 0.0f;
        const int row = first_row + eighth;
        const float *from = q + (i64)(row / group) * width + (unit.head * group + row % group) * DIM;
#pragma unroll
        for (int i = 0; i < S::KEY_SHARE; i++) {
            elements[i] = eighth < rows ? scale * from[S::key_element(quarter, i)] : 0.0f;
            largest = fmaxf(largest, fabsf(elements[i]));
        }
        largest = fmaxf(largest, __shfl_xor_sync(DUO_FULL_MASK, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(DUO_FULL_MASK, largest, 2));
        float own_power;
        float inverse;
        power_below(largest, own_power, inverse);
        power[0] = __shfl_sync(DUO_FULL_MASK, own_power, 8 * quarter);
        power[1] = __shfl_sync(DUO_FULL_MASK, own_power, 8 * quarter + 4);
#pragma unroll
        for (int i = 0; i < S::KEY_SHARE; i++) {
            elements[i] *= inverse;
        }
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                two_terms<KEYS_BRAIN>(elements[S::key_index(step, 2 * half)], elements[S::key_index(step, 2 * half + 1)],
                        query[step][half], query_rest[step][half]);
            }
        }
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            float sum = 0.0f;
#pragma unroll
            for (int i = 0; i < S::KEY_SHARE; i++) {
                sum += S::key_group(i) == g ? elements[i] : 0.0f;
            }
            sum = sum_of_quad(sum);
            query_sums[g][0] = __shfl_sync(DUO_FULL_MASK, sum, 8 * quarter);
            query_sums[g][1] = __shfl_sync(DUO_FULL_MASK, sum, 8 * quarter + 4);
        }
    }

    // What the two query rows of this lane's results see, and what all rows see.
    const int always = (int)unit.always;
    int row_end[2];
    int row_window[2];
#pragma unroll
    for (int n = 0; n < 2; n++) {
        int token = (first_row + 2 * quarter + n) / group;
        row_end[n] = 2 * quarter + n < rows ? (int)unit.causal_end + token : 0;
        row_window[n] = (int)window_from(unit, token);
    }
    const int open_end = end < (int)unit.causal_end + first_token ? end : (int)unit.causal_end + first_token;
    const int open_window = (int)window_from(unit, last_token);
    // The slot of an ordinal is the ordinal and the shift of its run; past the end it is that of the last.
    const int run_end0 = (int)unit.end0;
    const int run_end1 = (int)unit.end1;
    const int shift0 = (int)unit.first0;
    const int shift1 = (int)(unit.first1 - unit.end0);
    const int shift2 = (int)(unit.first2 - unit.end1);
    auto slot_at = [&](int ordinal) {
        int clamped = ordinal < end ? ordinal : end - 1;
        return (i64)(clamped + (clamped < run_end0 ? shift0 : clamped < run_end1 ? shift1 : shift2));
    };

    float maximum[2] = {MINUS_INFINITY, MINUS_INFINITY};
    float sum[2] = {0.0f, 0.0f};
    float offsets[GROUPS][2];
    float result[STEPS][4];
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        offsets[g][0] = offsets[g][1] = 0.0f;
    }
#pragma unroll
    for (int j = 0; j < STEPS; j++) {
        result[j][0] = result[j][1] = result[j][2] = result[j][3] = 0.0f;
    }

    // Scales come as early as keys: a tile would wait for them otherwise, whatever else is there.
    u32 key[2][S::KEY_PIECES][S::KEY_WORDS];
    u32 key_scale[GROUPS][2];
    u32 value_scale[GROUPS][2];
    u32 next_value_scale[GROUPS][2];
    int tile = from + warp * TILE;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        if (tile < end) {
            i64 slot = slot_at(tile + eighth + 8 * half);
#pragma unroll
            for (int i = 0; i < S::KEY_PIECES; i++) {
                load_words(key[half][i],
                        unit.keys + slot * ROW_BYTES + S::key_element(quarter, i * S::KEY_PIECE) * S::BITS / 8);
            }
#pragma unroll
            for (int g = 0; S::QUANTIZED && g < GROUPS; g++) {
                key_scale[g][half] = scale_of(unit.key_scales, slot, GROUPS, g);
                value_scale[g][half] = scale_of(unit.value_scales, slot, GROUPS, g);
            }
        }
    }
    for (; tile < end; tile += WARPS * TILE) {
        u32 value[4][S::VALUE_PIECES][S::VALUE_WORDS];
#pragma unroll
        for (int s = 0; s < 4; s++) {
            i64 slot = slot_at(tile + 2 * quarter + s % 2 + 8 * (s / 2));
#pragma unroll
            for (int i = 0; i < S::VALUE_PIECES; i++) {
                load_words(value[s][i],
                        unit.values + slot * ROW_BYTES + S::value_element(eighth, i * S::VALUE_PIECE) * S::BITS / 8);
            }
        }
        // Logits: slots `eighth` and `eighth` + 8, query rows 2 `quarter` and the next.
        float logit[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            float product[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
            for (int step = g * (STEPS / GROUPS); step < (g + 1) * (STEPS / GROUPS); step++) {
                u32 a[4];
                key_pairs<FORMAT>(&key[0][0][0], step, a[0], a[2]);
                key_pairs<FORMAT>(&key[1][0][0], step, a[1], a[3]);
                mma<KEYS_BRAIN>(product, a, query[step]);
                mma<KEYS_BRAIN>(product, a, query_rest[step]);
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                logit[i] = S::QUANTIZED
                        ? fmaf(low_f16(key_scale[g][i / 2]), product[i],
                                  fmaf(high_f16(key_scale[g][i / 2]), query_sums[g][i % 2], logit[i]))
                        : product[i];
            }
        }
        // The next keys are on their way while the rest of this tile is worked on.
        int next = tile + WARPS * TILE;
        if (next < end) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                i64 slot = slot_at(next + eighth + 8 * half);
#pragma unroll
                for (int i = 0; i < S::KEY_PIECES; i++) {
                    load_words(key[half][i],
                            unit.keys + slot * ROW_BYTES + S::key_element(quarter, i * S::KEY_PIECE) * S::BITS / 8);
                }
#pragma unroll
                for (int g = 0; S::QUANTIZED && g < GROUPS; g++) {
                    key_scale[g][half] = scale_of(unit.key_scales, slot, GROUPS, g);
                    next_value_scale[g][half] = scale_of(unit.value_scales, slot, GROUPS, g);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            logit[i] *= power[i % 2];
        }
        bool all_seen = tile + TILE <= open_end && (tile + TILE <= always || tile >= open_window);
        if (!all_seen) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int ordinal = tile + eighth + 8 * (i / 2);
                bool seen = ordinal < end && ordinal < row_end[i % 2] && (ordinal < always || ordinal >= row_window[i % 2]);
                logit[i] = seen ? logit[i] : MINUS_INFINITY;
            }
        }
        float weight[4];
        float shrink[2];
#pragma unroll
        for (int n = 0; n < 2; n++) {
            float most = fmaxf(maximum[n], max_of_slots(fmaxf(logit[n], logit[n + 2])));
            float base = most == MINUS_INFINITY ? 0.0f : most;
            shrink[n] = fast_exp2(maximum[n] - base);
            maximum[n] = most;
            weight[n] = fast_exp2(logit[n] - base + SHIFT);
            weight[n + 2] = fast_exp2(logit[n + 2] - base + SHIFT);
            sum[n] = fmaf(sum[n], shrink[n], weight[n] + weight[n + 2]);
        }
        // Seldom after the first tiles.
        if (__any_sync(DUO_FULL_MASK, shrink[0] != 1.0f || shrink[1] != 1.0f)) {
#pragma unroll
            for (int n = 0; n < 2; n++) {
#pragma unroll
                for (int g = 0; g < GROUPS; g++) {
                    offsets[g][n] *= shrink[n];
                }
#pragma unroll
                for (int j = 0; j < STEPS; j++) {
                    result[j][n] *= shrink[n];
                    result[j][n + 2] *= shrink[n];
                }
            }
        }
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            float scaled[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                scaled[i] = S::QUANTIZED ? weight[i] * low_f16(value_scale[g][i / 2]) : weight[i];
            }
            if (S::QUANTIZED) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    offsets[g][i % 2] = fmaf(weight[i], high_f16(value_scale[g][i / 2]), offsets[g][i % 2]);
                }
            }
            u32 b[2];
            u32 rest[2];
            two_terms<VALUES_BRAIN>(scaled[0], scaled[1], b[0], rest[0]);
            two_terms<VALUES_BRAIN>(scaled[2], scaled[3], b[1], rest[1]);
            b[0] = transposed_8x8(b[0]);
            b[1] = transposed_8x8(b[1]);
            rest[0] = transposed_8x8(rest[0]);
            rest[1] = transposed_8x8(rest[1]);
#pragma unroll
            for (int j = g * (STEPS / GROUPS); j < (g + 1) * (STEPS / GROUPS); j++) {
                u32 a[4];
                a[0] = value_pair<FORMAT>(&value[0][0][0], &value[1][0][0], 2 * j);
                a[1] = value_pair<FORMAT>(&value[0][0][0], &value[1][0][0], 2 * j + 1);
                a[2] = value_pair<FORMAT>(&value[2][0][0], &value[3][0][0], 2 * j);
                a[3] = value_pair<FORMAT>(&value[2][0][0], &value[3][0][0], 2 * j + 1);
                mma<VALUES_BRAIN>(result[j], a, b);
                mma<VALUES_BRAIN>(result[j], a, rest);
            }
        }
#pragma unroll
        for (int g = 0; S::QUANTIZED && g < GROUPS; g++) {
            value_scale[g][0] = next_value_scale[g][0];
            value_scale[g][1] = next_value_scale[g][1];
        }
    }

    // Join the warps.
#pragma unroll
    for (int n = 0; n < 2; n++) {
        int row = 2 * quarter + n;
        sum[n] = sum_of_slots(sum[n]);
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            offsets[g][n] = sum_of_slots(offsets[g][n]);
        }
#pragma unroll
        for (int j = 0; j < STEPS; j++) {
            float offset = offsets[S::value_group(2 * j)][n];
            merged[warp][row][S::value_element(eighth, 2 * j)] = result[j][n] + offset;
            merged[warp][row][S::value_element(eighth, 2 * j + 1)] = result[j][n + 2] + offset;
        }
        if (eighth == 0) {
            maxima[warp][row] = maximum[n];
            sums[warp][row] = sum[n];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < rows * (DIM + 1); i += WARPS * 32) {
        int row = i / (DIM + 1);
        int d = i % (DIM + 1);
        float most = MINUS_INFINITY;
        for (int w = 0; w < WARPS; w++) {
            most = fmaxf(most, maxima[w][row]);
        }
        float total = 0.0f;
        for (int w = 0; w < WARPS && most != MINUS_INFINITY; w++) {
            float factor = fast_exp2(maxima[w][row] - most);
            total = fmaf(factor, d == DIM ? sums[w][row] : merged[w][row][d], total);
        }
        float *partial = results + (i64)row * splits * (DIM + 2);
        if (d == DIM) {
            partial[0] = most;
            partial[1] = total;
        } else {
            partial[2 + d] = total;
        }
    }
}

// BLOCKS of them run on a multiprocessor at a time (AttentionKernel.java knows).
#define DECODE(NAME, FORMAT, DIM, GROUPS, BLOCKS)                                                                                \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS) NAME(                                                       \
            const float *q, float *partials, const Unit *units, int tokens, int width, int group, int splits, float scale) {     \
        decode<FORMAT, DIM, GROUPS>(q, partials, units, tokens, width, group, splits, scale);                                    \
    }

DECODE(decode_f16_64, FORMAT_F16, 64, 1, 3)
DECODE(decode_f16_128, FORMAT_F16, 128, 1, 2)
DECODE(decode_bf16_64, FORMAT_BF16, 64, 1, 3)
DECODE(decode_bf16_128, FORMAT_BF16, 128, 1, 2)
DECODE(decode_int8_64_1, FORMAT_INT8, 64, 1, 3)
DECODE(decode_int8_64_2, FORMAT_INT8, 64, 2, 3)
DECODE(decode_int8_128_1, FORMAT_INT8, 128, 1, 3)
DECODE(decode_int8_128_2, FORMAT_INT8, 128, 2, 3)
DECODE(decode_int8_128_4, FORMAT_INT8, 128, 4, 2)
DECODE(decode_int4_64_1, FORMAT_INT4, 64, 1, 3)
DECODE(decode_int4_128_1, FORMAT_INT4, 128, 1, 3)
DECODE(decode_int4_128_2, FORMAT_INT4, 128, 2, 3)
