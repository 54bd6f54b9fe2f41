// Attention of many query rows (a chunk of a prompt) over a head, on the tensor cores: tiles of slots in shared memory, online softmax in
// registers, after FlashAttention-2 (arXiv 2307.08691). Retrieval heads and streaming heads differ only in their runs of slots and
// in what a token sees; tiles that no row of a block sees are skipped.
//
// A query row is a token and one of the query heads that read the KV head: row = token * group + query head. A block takes 128 rows. A
// warp takes 32 of them where one product is made of every key and value that it loads, so that shared memory keeps up with the
// tensor cores, and 16 where two are made. Keys and values of a tile of slots are copied asynchronously while the tile before is worked on. Quantised ones arrive
// as codes and are widened once for all rows of the block: codes of 4 and 8 bits are exact in 16 bits, and scale and offset are
// applied in F32: with code c, scale s and offset o,  q k = s (q c) + o sum(q)  per group, and  p v = (p s) c + p o.
//
// Precision: queries and probabilities are rounded to the type of a dense cache. For a quantised one they are multiplied in two terms (a
// 16-bit number and the 16-bit rest), so that nothing but the stored rows is rounded.
//
// Launch: 128 threads for a dense cache, 256 for a quantised one; grid x = row blocks * splits, y = units; shared memory as Prefill::place lays it out (AttentionKernel.java adds it up).
//   q, out    F32 [tokens, width]
//   partials  F32 [units][rows][splits][DIM + 2]: maximum, sum, values; only with splits > 1
//   scale     factor on the products, times log2(e): exponentials are powers of two
#include "tensor.cuh"

#define ROWS 128

/** Where 8 elements of a row of 16-bit numbers lie: pieces of 16 bytes, exchanged within a row so that 8 rows meet all banks. */
template <int DIM> static __device__ __forceinline__ u16 *piece(u16 *tile, int row, int index) {
    return tile + row * DIM + (index ^ row % 8) * 8;
}

template <int FORMAT, int DIM, int GROUPS> struct Prefill {
    static constexpr int BITS = FORMAT == FORMAT_INT8 ? 8 : FORMAT == FORMAT_INT4 ? 4 : 16;
    static constexpr bool QUANTIZED = BITS < 16;
    static constexpr bool KEYS_BRAIN = FORMAT == FORMAT_BF16;
    static constexpr bool VALUES_BRAIN = FORMAT != FORMAT_F16;
    static constexpr int TERMS = QUANTIZED ? 2 : 1;
    static constexpr int PARTS = QUANTIZED ? 1 : 2;  // tiles of 16 rows of a warp
    static constexpr int THREADS = 32 * ROWS / (16 * PARTS);
    static constexpr int TILE = !QUANTIZED && DIM == 128 ? 48 : GROUPS == 4 ? 32 : 64;  // slots; as many as registers hold
    static constexpr int STEPS = DIM / 16;
    static constexpr int ROW_BYTES = DIM * BITS / 8;
    static constexpr int ROW_PIECES = ROW_BYTES / 16;
    static constexpr int TILE_BYTES = TILE * DIM * 2;
    // Dense tiles are double-buffered; codes have a buffer of their own, so that their widened tiles need no second one.
    static constexpr int BUFFERS = QUANTIZED ? 1 : 2;
    static constexpr int CODES_BYTES = QUANTIZED ? TILE * ROW_BYTES : 0;
    static constexpr int SCALES = QUANTIZED ? TILE * GROUPS : 0;

    u16 *queries[TERMS];  // [ROWS][DIM]
    u16 *keys;            // [BUFFERS][TILE][DIM]
    u16 *values;          // [BUFFERS][TILE][DIM]
    u8 *key_codes;        // [TILE][ROW_BYTES]
    u8 *value_codes;
    u32 *key_scales;      // [TILE][GROUPS], scale and offset
    u32 *value_scales;
    float *powers;        // [ROWS]
    float *query_sums;    // [ROWS][GROUPS]

    __device__ __forceinline__ void place(u8 *memory) {
#pragma unroll
        for (int term = 0; term < TERMS; term++) {
            queries[term] = (u16 *)memory;
            memory += ROWS * DIM * 2;
        }
        keys = (u16 *)memory;
        memory += BUFFERS * TILE_BYTES;
        values = (u16 *)memory;
        memory += BUFFERS * TILE_BYTES;
        key_codes = memory;
        memory += CODES_BYTES;
        value_codes = memory;
        memory += CODES_BYTES;
        key_scales = (u32 *)memory;
        memory += 4 * SCALES;
        value_scales = (u32 *)memory;
        memory += 4 * SCALES;
        powers = (float *)memory;
        memory += 4 * ROWS;
        query_sums = (float *)memory;
    }

    /** Rounds the queries of the block into shared memory; two threads take a row. */
    __device__ __forceinline__ void load_queries(
            const float *q, const Unit &unit, i64 first_row, int rows, int width, int group, float scale) {
        for (int row = threadIdx.x / 2; row < ROWS; row += THREADS / 2) {
            bool valid = row < rows;
            i64 at = first_row + (valid ? row : 0);
            load_query(q + at / group * width + (unit.head * group + at % group) * DIM, valid ? scale : 0.0f, row);
        }
    }

    __device__ __forceinline__ void load_query(const float *from, float scale, int row) {
        int first = threadIdx.x % 2 * (DIM / 2);
        float largest = 0.0f;
        for (int d = first; d < first + DIM / 2; d++) {
            largest = fmaxf(largest, fabsf(scale * from[d]));
        }
        largest = fmaxf(largest, __shfl_xor_sync(DUO_FULL_MASK, largest, 1));
        float power;
        float inverse;
        power_below(largest, power, inverse);
        float sums[GROUPS];
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            sums[g] = 0.0f;
        }
#pragma unroll 4
        for (int d = first; d < first + DIM / 2; d += 2) {
            float low = scale * from[d] * inverse;
            float high = scale * from[d + 1] * inverse;
            u32 terms[2];
            two_terms<KEYS_BRAIN>(low, high, terms[0], terms[1]);
#pragma unroll
            for (int term = 0; term < TERMS; term++) {
                *(u32 *)(piece<DIM>(queries[term], row, d / 8) + d % 8) = terms[term];
            }
#pragma unroll
            for (int g = 0; g < GROUPS; g++) {
                sums[g] += d / (DIM / GROUPS) == g ? low + high : 0.0f;
            }
        }
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            sums[g] += __shfl_xor_sync(DUO_FULL_MASK, sums[g], 1);
        }
        if (threadIdx.x % 2 == 0) {
            powers[row] = power;
            for (int g = 0; QUANTIZED && g < GROUPS; g++) {
                query_sums[row * GROUPS + g] = sums[g];
            }
        }
    }

    /** Begins the copies of a tile. Slots past the end are those of the last one: their weight will be zero. */
    __device__ __forceinline__ void copy_tile(const Unit &unit, int tile, int end, int buffer) {
#pragma unroll
        for (int i = threadIdx.x; i < TILE * ROW_PIECES; i += THREADS) {
            int row = i / ROW_PIECES;
            int index = i % ROW_PIECES;
            int ordinal = tile + row < end ? tile + row : end - 1;
            i64 at = slot_of(unit, ordinal) * ROW_BYTES + index * 16;
            if (QUANTIZED) {
                cp_async_16(key_codes + row * ROW_BYTES + index * 16, unit.keys + at);
                cp_async_16(value_codes + row * ROW_BYTES + index * 16, unit.values + at);
            } else {
                cp_async_16(piece<DIM>(keys + buffer * TILE * DIM, row, index), unit.keys + at);
                cp_async_16(piece<DIM>(values + buffer * TILE * DIM, row, index), unit.values + at);
            }
        }
        cp_async_commit();
    }

    /** Scales and offsets of a tile on their way through registers: of keys in the first TILE threads, of values in the next. */
    __device__ __forceinline__ void load_scales(const Unit &unit, int tile, int end, u32 (&scales)[GROUPS]) {
        if (threadIdx.x >= 2 * TILE) {
            return;
        }
        int ordinal = tile + (int)threadIdx.x % TILE;
        const u32 *from = (const u32 *)(threadIdx.x < TILE ? unit.key_scales : unit.value_scales);
        i64 slot = slot_of(unit, ordinal < end ? ordinal : end - 1);
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            scales[g] = from[slot * GROUPS + g];
        }
    }

    /** Widens the codes of a tile: keys to F16, values to BF16. */
    __device__ __forceinline__ void widen(const u32 (&scales)[GROUPS]) {
#pragma unroll
        for (int g = 0; g < GROUPS && threadIdx.x < 2 * TILE; g++) {
            (threadIdx.x < TILE ? key_scales : value_scales)[threadIdx.x % TILE * GROUPS + g] = scales[g];
        }
        constexpr int PIECES = DIM / 8;
#pragma unroll 2
        for (int i = threadIdx.x; i < TILE * PIECES; i += THREADS) {
            int row = i / PIECES;
            int index = i % PIECES;
            uint4 wide_keys;
            uint4 wide_values;
            if (FORMAT == FORMAT_INT8) {
                uint2 k = *(const uint2 *)(key_codes + row * ROW_BYTES + index * 8);
                uint2 v = *(const uint2 *)(value_codes + row * ROW_BYTES + index * 8);
                wide_keys = make_uint4(bytes_to_f16(k.x, 0), bytes_to_f16(k.x, 1), bytes_to_f16(k.y, 0), bytes_to_f16(k.y, 1));
                wide_values = make_uint4(bytes_to_bf16(v.x, 0), bytes_to_bf16(v.x, 1), bytes_to_bf16(v.y, 0), bytes_to_bf16(v.y, 1));
            } else {
                u32 k = *(const u32 *)(key_codes + row * ROW_BYTES + index * 4);
                u32 v = *(const u32 *)(value_codes + row * ROW_BYTES + index * 4);
                wide_keys = make_uint4(
                        nibbles_to_f16(k), nibbles_to_f16(k >> 8), nibbles_to_f16(k >> 16), nibbles_to_f16(k >> 24));
                wide_values = make_uint4(
                        nibbles_to_bf16(v), nibbles_to_bf16(v >> 8), nibbles_to_bf16(v >> 16), nibbles_to_bf16(v >> 24));
            }
            *(uint4 *)piece<DIM>(keys, row, index) = wide_keys;
            *(uint4 *)piece<DIM>(values, row, index) = wide_values;
        }
    }
};

template <int FORMAT, int DIM, int GROUPS>
static __device__ __forceinline__ void prefill(const float *q, float *out, float *partials, const Unit *units, int tokens, int width,
        int group, int splits, float scale) {
    typedef Prefill<FORMAT, DIM, GROUPS> P;
    constexpr int STEPS = P::STEPS;
    constexpr int PARTS = P::PARTS;
    constexpr int TILE = P::TILE;
    constexpr int TILES = TILE / 8;
    DUO_SHARED(u8, memory);
    P shared;
    shared.place(memory);
    const Unit &unit = units[blockIdx.y];
    const int warp_row = threadIdx.x / 32 * (16 * PARTS);
    const int lane = threadIdx.x % 32;
    const i64 all_rows = (i64)tokens * group;
    // The last rows see the most: they begin first.
    const int split = blockIdx.x % splits;
    const i64 first_row = (i64)((gridDim.x - 1 - blockIdx.x) / splits) * ROWS;
    const int rows = all_rows - first_row < ROWS ? (int)(all_rows - first_row) : ROWS;
    const int first_token = (int)(first_row / group);
    const int last_token = (int)((first_row + rows - 1) / group);

    // Of every part of 16 rows, rows `own` and `own` + 8 are this lane's in every result. Index n below is 2 * part + half.
    const int own = warp_row + lane / 4;
    // Ordinals of rows of this size fit 31 bits in any memory there is.
    i64 all = unit.causal_end + last_token;
    all = all < unit.end2 ? all : unit.end2;
    i64 part_size = (all + splits - 1) / splits;
    part_size = (part_size + TILE - 1) / TILE * TILE;
    int tile = (int)(split * part_size);
    const int end = (int)(tile + part_size < all ? tile + part_size : all);
    const i64 window_start = window_from(unit, first_token) / TILE * TILE;
    const int window = (int)(window_start < end ? window_start : end);
    const int always = (int)unit.always;

    float maximum[2 * PARTS];
    float sum[2 * PARTS];
    float offsets[GROUPS][2 * PARTS];
    float result[PARTS][2 * STEPS][4];
#pragma unroll
    for (int n = 0; n < 2 * PARTS; n++) {
        maximum[n] = MINUS_INFINITY;
        sum[n] = 0.0f;
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            offsets[g][n] = 0.0f;
        }
    }
#pragma unroll
    for (int m = 0; m < PARTS; m++) {
#pragma unroll
        for (int j = 0; j < 2 * STEPS; j++) {
            result[m][j][0] = result[m][j][1] = result[m][j][2] = result[m][j][3] = 0.0f;
        }
    }

    if (tile >= always && tile < window) {
        tile = window;
    }
    u32 scales[GROUPS];
    int buffer = 0;
    if (tile < end) {
        shared.copy_tile(unit, tile, end, buffer);
        if (P::QUANTIZED) {
            shared.load_scales(unit, tile, end, scales);
        }
    }
    shared.load_queries(q, unit, first_row, rows, width, group, scale);
    __syncthreads();

    while (tile < end) {
        int next = tile + TILE;
        if (next >= always && next < window) {
            next = window;
        }
        cp_async_wait<0>();
        __syncthreads();
        if (P::QUANTIZED) {
            shared.widen(scales);
            __syncthreads();
        }
        if (next < end) {
            shared.copy_tile(unit, next, end, buffer ^ (P::BUFFERS - 1));
            if (P::QUANTIZED) {
                shared.load_scales(unit, next, end, scales);
            }
        }
        u16 *keys = shared.keys + buffer * TILE * DIM;
        u16 *values = shared.values + buffer * TILE * DIM;

        // Logits: of every part rows `own` and `own` + 8, slots 8 j + 2 (lane % 4) and the next.
        float logit[PARTS][TILES][4];
#pragma unroll
        for (int m = 0; m < PARTS; m++) {
#pragma unroll
            for (int j = 0; j < TILES; j++) {
                logit[m][j][0] = logit[m][j][1] = logit[m][j][2] = logit[m][j][3] = 0.0f;
            }
        }
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            float product[PARTS][TILES][4];
#pragma unroll
            for (int m = 0; m < PARTS; m++) {
#pragma unroll
                for (int j = 0; j < TILES; j++) {
                    product[m][j][0] = product[m][j][1] = product[m][j][2] = product[m][j][3] = 0.0f;
                }
            }
#pragma unroll
            for (int step = g * (STEPS / GROUPS); step < (g + 1) * (STEPS / GROUPS); step++) {
                u32 a[PARTS * P::TERMS][4];
#pragma unroll
                for (int m = 0; m < PARTS; m++) {
#pragma unroll
                    for (int term = 0; term < P::TERMS; term++) {
                        ldmatrix_x4(a[m * P::TERMS + term],
                                piece<DIM>(shared.queries[term], warp_row + 16 * m + lane % 16, 2 * step + lane / 16));
                    }
                }
#pragma unroll
                for (int j = 0; j < TILES; j += 2) {
                    u32 b[4];
                    ldmatrix_x4(b, piece<DIM>(keys, j * 8 + lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2));
                    u32 left[2] = {b[0], b[1]};
                    u32 right[2] = {b[2], b[3]};
#pragma unroll
                    for (int m = 0; m < PARTS; m++) {
#pragma unroll
                        for (int term = 0; term < P::TERMS; term++) {
                            mma<P::KEYS_BRAIN>(product[m][j], a[m * P::TERMS + term], left);
                            mma<P::KEYS_BRAIN>(product[m][j + 1], a[m * P::TERMS + term], right);
                        }
                    }
                }
            }
#pragma unroll
            for (int m = 0; m < PARTS; m++) {
#pragma unroll
                for (int j = 0; j < TILES; j++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        if (P::QUANTIZED) {
                            u32 of = shared.key_scales[(8 * j + 2 * (lane % 4) + i % 2) * GROUPS + g];
                            float shift = high_f16(of) * shared.query_sums[(own + 16 * m + i / 2 * 8) * GROUPS + g];
                            logit[m][j][i] += fmaf(low_f16(of), product[m][j][i], shift);
                        } else {
                            logit[m][j][i] = product[m][j][i];
                        }
                    }
                }
            }
        }

        bool all_seen = tile + TILE <= end && tile + TILE <= unit.causal_end + first_token
                && (tile + TILE <= always || tile >= window_from(unit, last_token));
        if (!all_seen) {
#pragma unroll
            for (int n = 0; n < 2 * PARTS; n++) {
                int token = own + 8 * n < rows ? (int)((first_row + own + 8 * n) / group) : last_token;
#pragma unroll
                for (int j = 0; j < TILES; j++) {
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        int ordinal = tile + 8 * j + 2 * (lane % 4) + i;
                        if (ordinal >= end || !sees(unit, token, ordinal)) {
                            logit[n / 2][j][n % 2 * 2 + i] = MINUS_INFINITY;
                        }
                    }
                }
            }
        }
#pragma unroll
        for (int n = 0; n < 2 * PARTS; n++) {
            float power = shared.powers[own + 8 * n];
            float most = maximum[n];
#pragma unroll
            for (int j = 0; j < TILES; j++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float &x = logit[n / 2][j][n % 2 * 2 + i];
                    x *= power;
                    most = fmaxf(most, x);
                }
            }
            most = fmaxf(most, __shfl_xor_sync(DUO_FULL_MASK, most, 1));
            most = fmaxf(most, __shfl_xor_sync(DUO_FULL_MASK, most, 2));
            float base = (most == MINUS_INFINITY ? 0.0f : most) - SHIFT;
            float shrink = most == MINUS_INFINITY ? 1.0f : fast_exp2(maximum[n] - most);
            maximum[n] = most;
            sum[n] *= shrink;
#pragma unroll
            for (int g = 0; g < GROUPS; g++) {
                offsets[g][n] *= shrink;
            }
#pragma unroll
            for (int j = 0; j < 2 * STEPS; j++) {
                result[n / 2][j][n % 2 * 2] *= shrink;
                result[n / 2][j][n % 2 * 2 + 1] *= shrink;
            }
#pragma unroll
            for (int j = 0; j < TILES; j++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float &x = logit[n / 2][j][n % 2 * 2 + i];
                    x = fast_exp2(x - base);
                    sum[n] += x;
                }
            }
        }

        // Values: 16 slots at a time.
#pragma unroll
        for (int step = 0; step < TILE / 16; step++) {
#pragma unroll
            for (int g = 0; g < GROUPS; g++) {
                u32 a[PARTS][2][4];
#pragma unroll
                for (int m = 0; m < PARTS; m++) {
                    float weight[8];
#pragma unroll
                    for (int i = 0; i < 8; i++) {
                        weight[i] = logit[m][2 * step + i / 4][i % 4];
                        if (P::QUANTIZED) {
                            u32 of = shared.value_scales[(16 * step + 8 * (i / 4) + 2 * (lane % 4) + i % 2) * GROUPS + g];
                            float &offset = offsets[g][2 * m + i / 2 % 2];
                            offset = fmaf(weight[i], high_f16(of), offset);
                            weight[i] *= low_f16(of);
                        }
                    }
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        two_terms<P::VALUES_BRAIN>(weight[2 * i], weight[2 * i + 1], a[m][0][i], a[m][1][i]);
                    }
                }
#pragma unroll
                for (int j = g * (2 * STEPS / GROUPS); j < (g + 1) * (2 * STEPS / GROUPS); j += 2) {
                    u32 b[4];
                    ldmatrix_x4_trans(b, piece<DIM>(values, step * 16 + lane % 16, j + lane / 16));
                    u32 left[2] = {b[0], b[1]};
                    u32 right[2] = {b[2], b[3]};
#pragma unroll
                    for (int m = 0; m < PARTS; m++) {
#pragma unroll
                        for (int term = 0; term < P::TERMS; term++) {
                            mma<P::VALUES_BRAIN>(result[m][j], a[m][term], left);
                            mma<P::VALUES_BRAIN>(result[m][j + 1], a[m][term], right);
                        }
                    }
                }
            }
        }
        tile = next;
        buffer ^= P::BUFFERS - 1;
    }

#pragma unroll
    for (int n = 0; n < 2 * PARTS; n++) {
        sum[n] += __shfl_xor_sync(DUO_FULL_MASK, sum[n], 1);
        sum[n] += __shfl_xor_sync(DUO_FULL_MASK, sum[n], 2);
#pragma unroll
        for (int g = 0; P::QUANTIZED && g < GROUPS; g++) {
            offsets[g][n] += __shfl_xor_sync(DUO_FULL_MASK, offsets[g][n], 1);
            offsets[g][n] += __shfl_xor_sync(DUO_FULL_MASK, offsets[g][n], 2);
        }
        if (own + 8 * n < rows) {
            i64 row = first_row + own + 8 * n;
            float *to = out + row / group * width + (unit.head * group + row % group) * DIM;
            float factor = 1.0f / sum[n];
            if (splits > 1) {
                to = partials + ((blockIdx.y * all_rows + row) * splits + split) * (DIM + 2) + 2;
                factor = 1.0f;
                if (lane % 4 == 0) {
                    to[-2] = maximum[n];
                    to[-1] = sum[n];
                }
            }
#pragma unroll
            for (int j = 0; j < 2 * STEPS; j++) {
                float offset = offsets[j / (2 * STEPS / GROUPS)][n];
                to[8 * j + 2 * (lane % 4)] = (result[n / 2][j][n % 2 * 2] + offset) * factor;
                to[8 * j + 2 * (lane % 4) + 1] = (result[n / 2][j][n % 2 * 2 + 1] + offset) * factor;
            }
        }
    }
}

#define PREFILL(NAME, FORMAT, DIM, GROUPS)                                                                                       \
    extern "C" __global__ void __launch_bounds__(Prefill<FORMAT, DIM, GROUPS>::THREADS) NAME(const float *q, float *out,         \
            float *partials, const Unit *units, int tokens, int width, int group, int splits, float scale) {                     \
        prefill<FORMAT, DIM, GROUPS>(q, out, partials, units, tokens, width, group, splits, scale);                              \
    }

PREFILL(prefill_f16_64, FORMAT_F16, 64, 1)
PREFILL(prefill_f16_128, FORMAT_F16, 128, 1)
PREFILL(prefill_bf16_64, FORMAT_BF16, 64, 1)
PREFILL(prefill_bf16_128, FORMAT_BF16, 128, 1)
PREFILL(prefill_int8_64_1, FORMAT_INT8, 64, 1)
PREFILL(prefill_int8_64_2, FORMAT_INT8, 64, 2)
PREFILL(prefill_int8_128_1, FORMAT_INT8, 128, 1)
PREFILL(prefill_int8_128_2, FORMAT_INT8, 128, 2)
PREFILL(prefill_int8_128_4, FORMAT_INT8, 128, 4)
PREFILL(prefill_int4_64_1, FORMAT_INT4, 64, 1)
PREFILL(prefill_int4_64_2, FORMAT_INT4, 64, 2)
PREFILL(prefill_int4_128_1, FORMAT_INT4, 128, 1)
PREFILL(prefill_int4_128_2, FORMAT_INT4, 128, 2)
PREFILL(prefill_int4_128_4, FORMAT_INT4, 128, 4)
