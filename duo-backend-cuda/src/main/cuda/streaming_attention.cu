// Streaming attention over a whole sequence, and its backward, for the identification of heads: query i sees key j when
// j <= i and (j < sinks or i - j < recent). Time is proportional to tokens * (sinks + recent).
//
// A warp has one query of one head, or one key of one KV head. It takes what that one sees 32 at a time: first every lane
// computes the products with one of them, then the lanes share the elements of a head and add up all 32. Sums are in a
// fixed order and nothing is added atomically: the same input gives the same bits. Heads have at most 32 * LANE_ELEMENTS
// elements.
//
// Launch: 128 threads, four warps of one head, 4 * (2 * dim + 64) floats of dynamic shared memory. Attention and
// duo_streaming_queries: grid (tokens / 4 rounded up, heads); duo_streaming_keys: grid (tokens / 4 rounded up, KV heads).
#include "prelude.cuh"

#define LANE_ELEMENTS 16
#define WARPS 4

struct Elements {
    float values[LANE_ELEMENTS];
};

__device__ __forceinline__ void store(float* head, const Elements& e, int dim) {
#pragma unroll
    for (int i = 0; i < LANE_ELEMENTS; i++) {
        int d = threadIdx.x % 32 + 32 * i;
        if (d < dim) {
            head[d] = e.values[i];
        }
    }
}

__device__ __forceinline__ void multiply(Elements& a, float factor) {
#pragma unroll
    for (int i = 0; i < LANE_ELEMENTS; i++) {
        a.values[i] *= factor;
    }
}

// a += x * head
__device__ __forceinline__ void accumulate(Elements& a, float x, const float* head, int dim) {
#pragma unroll
    for (int i = 0; i < LANE_ELEMENTS; i++) {
        int d = threadIdx.x % 32 + 32 * i;
        if (d < dim) {
            a.values[i] = fmaf(x, head[d], a.values[i]);
        }
    }
}

__device__ __forceinline__ float dot(const float* a, const float* b, int dim) {
    float sum = 0;
    for (int d = 0; d < dim; d++) {
        sum = fmaf(a[d], b[d], sum);
    }
    return sum;
}

// Shared memory of a warp: two vectors that every lane reads, and a number or two of each lane.
struct Shared {
    float* first;
    float* second;
    float* numbers;
    float* more;
};

__device__ __forceinline__ Shared shared_of_warp(float* all, int dim) {
    float* mine = all + threadIdx.x / 32 * (2 * dim + 64);
    return {mine, mine + dim, mine + 2 * dim, mine + 2 * dim + 32};
}

__device__ __forceinline__ void copy(float* to, const float* from, int dim) {
    for (int d = threadIdx.x % 32; d < dim; d += 32) {
        to[d] = from[d];
    }
}

// The keys that a query sees: the first `sinks` of them, then those from `window` on.
struct Keys {
    int sinks;
    int window;
    int count;

    __device__ __forceinline__ Keys(int query, int all_sinks, int recent) {
        window = max(0, query - recent + 1);
        sinks = min(all_sinks, window);
        count = sinks + query - window + 1;
    }

    __device__ __forceinline__ int at(int n) const {
        return n < sinks ? n : window + n - sinks;
    }
};

extern "C" __global__ void __launch_bounds__(128) duo_streaming_attention(
    const float* q, const float* k, const float* v, float* out, int tokens, int heads, int kv_heads, int dim, int sinks,
    int recent, float scale) {
    DUO_SHARED(float, all);
    int query = blockIdx.x * WARPS + threadIdx.x / 32;
    if (query >= tokens) {
        return;
    }
    int lane = threadIdx.x % 32;
    int head = blockIdx.y;
    i64 stride = static_cast<i64>(kv_heads) * dim;
    i64 kv_at = static_cast<i64>(head / (heads / kv_heads)) * dim;
    i64 at = (static_cast<i64>(query) * heads + head) * dim;
    Shared shared = shared_of_warp(all, dim);
    copy(shared.first, q + at, dim);
    __syncwarp();
    Keys keys(query, sinks, recent);
    Elements sum = {};
    float most = __uint_as_float(0xff800000u);
    float total = 0;
    for (int base = 0; base < keys.count; base += 32) {
        int n = base + lane;
        float score = n < keys.count ? scale * dot(shared.first, k + keys.at(n) * stride + kv_at, dim)
                                     : __uint_as_float(0xff800000u);
        float larger = fmaxf(most, warp_max(score));
        float weight = expf(score - larger);
        float factor = expf(most - larger);
        most = larger;
        total = fmaf(total, factor, warp_sum(weight));
        shared.numbers[lane] = weight;
        __syncwarp();
        multiply(sum, factor);
        int here = min(32, keys.count - base);
        for (int i = 0; i < here; i++) {
            accumulate(sum, shared.numbers[i], v + keys.at(base + i) * stride + kv_at, dim);
        }
        __syncwarp();
    }
    multiply(sum, 1.0f / total);
    store(out + at, sum, dim);
}

// The gradient of q. For the keys' side it leaves, per head and query, the largest score, the inverse of the sum of
// exponentials, and the mean of gradient * v: statistics[heads, tokens, 3].
// With a bound on the blocks of a multiprocessor the compiler spills nothing.
extern "C" __global__ void __launch_bounds__(128, 8) duo_streaming_queries(
    const float* q, const float* k, const float* v, const float* gradient, float* q_gradient, float* statistics,
    int tokens, int heads, int kv_heads, int dim, int sinks, int recent, float scale) {
    DUO_SHARED(float, all);
    int query = blockIdx.x * WARPS + threadIdx.x / 32;
    if (query >= tokens) {
        return;
    }
    int lane = threadIdx.x % 32;
    int head = blockIdx.y;
    i64 stride = static_cast<i64>(kv_heads) * dim;
    i64 kv_at = static_cast<i64>(head / (heads / kv_heads)) * dim;
    i64 at = (static_cast<i64>(query) * heads + head) * dim;
    Shared shared = shared_of_warp(all, dim);
    copy(shared.first, q + at, dim);
    copy(shared.second, gradient + at, dim);
    __syncwarp();
    Keys keys(query, sinks, recent);
    float most = __uint_as_float(0xff800000u);
    float total = 0;
    float products = 0;
    for (int base = 0; base < keys.count; base += 32) {
        int n = base + lane;
        float score = __uint_as_float(0xff800000u);
        float change = 0;
        if (n < keys.count) {
            i64 key = keys.at(n) * stride + kv_at;
            score = scale * dot(shared.first, k + key, dim);
            change = dot(shared.second, v + key, dim);
        }
        float larger = fmaxf(most, warp_max(score));
        float weight = expf(score - larger);
        float factor = expf(most - larger);
        most = larger;
        total = fmaf(total, factor, warp_sum(weight));
        products = fmaf(products, factor, warp_sum(weight * change));
    }
    float inverse = 1.0f / total;
    float mean = products * inverse;
    Elements sum = {};
    for (int base = 0; base < keys.count; base += 32) {
        int n = base + lane;
        if (n < keys.count) {
            i64 key = keys.at(n) * stride + kv_at;
            float probability = expf(scale * dot(shared.first, k + key, dim) - most) * inverse;
            shared.numbers[lane] = scale * probability * (dot(shared.second, v + key, dim) - mean);
        }
        __syncwarp();
        int here = min(32, keys.count - base);
        for (int i = 0; i < here; i++) {
            accumulate(sum, shared.numbers[i], k + keys.at(base + i) * stride + kv_at, dim);
        }
        __syncwarp();
    }
    store(q_gradient + at, sum, dim);
    if (lane == 0) {
        float* mine = statistics + 3 * (static_cast<i64>(head) * tokens + query);
        mine[0] = most;
        mine[1] = inverse;
        mine[2] = mean;
    }
}

// The gradients of k and v, summed over the queries that see a key and over the query heads of its group.
extern "C" __global__ void __launch_bounds__(128) duo_streaming_keys(
    const float* q, const float* k, const float* v, const float* gradient, const float* statistics, float* k_gradient,
    float* v_gradient, int tokens, int heads, int kv_heads, int dim, int sinks, int recent, float scale) {
    DUO_SHARED(float, all);
    int j = blockIdx.x * WARPS + threadIdx.x / 32;
    if (j >= tokens) {
        return;
    }
    int lane = threadIdx.x % 32;
    int kv_head = blockIdx.y;
    int group = heads / kv_heads;
    i64 at = (static_cast<i64>(j) * kv_heads + kv_head) * dim;
    Shared shared = shared_of_warp(all, dim);
    copy(shared.first, k + at, dim);
    copy(shared.second, v + at, dim);
    __syncwarp();
    Elements key_sum = {};
    Elements value_sum = {};
    i64 end = j < sinks ? tokens : min(static_cast<i64>(tokens), static_cast<i64>(j) + recent);
    // Queries and heads of the group in turn.
    i64 count = (end - j) * group;
    for (i64 base = 0; base < count; base += 32) {
        i64 n = base + lane;
        if (n < count) {
            i64 query = j + n / group;
            int head = kv_head * group + static_cast<int>(n % group);
            i64 from = (query * heads + head) * dim;
            const float* numbers = statistics + 3 * (static_cast<i64>(head) * tokens + query);
            float probability = expf(scale * dot(shared.first, q + from, dim) - numbers[0]) * numbers[1];
            shared.numbers[lane] = probability;
            shared.more[lane] = scale * probability * (dot(shared.second, gradient + from, dim) - numbers[2]);
        }
        __syncwarp();
        int here = static_cast<int>(min(static_cast<i64>(32), count - base));
        for (int i = 0; i < here; i++) {
            i64 query = j + (base + i) / group;
            i64 from = (query * heads + kv_head * group + (base + i) % group) * dim;
            accumulate(key_sum, shared.more[i], q + from, dim);
            accumulate(value_sum, shared.numbers[i], gradient + from, dim);
        }
        __syncwarp();
    }
    store(k_gradient + at, key_sum, dim);
    store(v_gradient + at, value_sum, dim);
}
