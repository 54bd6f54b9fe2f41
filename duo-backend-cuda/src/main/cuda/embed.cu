// out[t] = table[ids[t]]. Launch: one block per token.
#include "quantized.cuh"

template <typename T>
__device__ void embed(const T* table, const int* ids, float* out, int width) {
    const T* row = table + static_cast<i64>(ids[blockIdx.x]) * width;
    float* target = out + static_cast<i64>(blockIdx.x) * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        target[i] = to_float(row[i]);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    duo_embed_f32(const float* table, const int* ids, float* out, int width) {
    embed(table, ids, out, width);
}

extern "C" __global__ void __launch_bounds__(256)
    duo_embed_f16(const F16* table, const int* ids, float* out, int width) {
    embed(table, ids, out, width);
}

extern "C" __global__ void __launch_bounds__(256)
    duo_embed_bf16(const BF16* table, const int* ids, float* out, int width) {
    embed(table, ids, out, width);
}

template <int Bits>
__device__ void embed_quantized(
    const u8* codes, long long stride, const void* scales, int kind, int group, const int* ids, float* out, int width) {
    i64 row = ids[blockIdx.x];
    float* target = out + static_cast<i64>(blockIdx.x) * width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float2 scale = load_scale<Bits>(scales, kind, row * (width / group) + i / group);
        target[i] = fmaf(static_cast<float>(load_code<Bits>(codes + row * stride, i)), scale.x, scale.y);
    }
}

extern "C" __global__ void __launch_bounds__(256) duo_embed_int4(
    const u8* codes, long long stride, const void* scales, int kind, int group, const int* ids, float* out, int width) {
    embed_quantized<4>(codes, stride, scales, kind, group, ids, out, width);
}

extern "C" __global__ void __launch_bounds__(256) duo_embed_int8(
    const u8* codes, long long stride, const void* scales, int kind, int group, const int* ids, float* out, int width) {
    embed_quantized<8>(codes, stride, scales, kind, group, ids, out, width);
}
