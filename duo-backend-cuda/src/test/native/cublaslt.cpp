// Stands for libcublasLt and libcublas: products of F16 and BF16 matrices by columns, in host memory, as NVIDIA's documentation
// of cublasLtMatmul defines them. Numbers of enumerations are those of cublasLt.h. With the environment variable
// DUO_TEST_BLAS=wrong products are wrong, with DUO_TEST_BLAS=refuse there is no algorithm. duo_test_layouts says how many
// layouts of matrices there are.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {
constexpr int SUCCESS = 0, NOT_SUPPORTED = 15, INVALID = 7;
constexpr int R_32F = 0, R_16F = 2, R_16BF = 14, COMPUTE_32F = 68;
constexpr int TRANSA = 3, OP_T = 1, MAX_WORKSPACE = 1, FIRST_ALIGNMENT = 5, LAST_ALIGNMENT = 8;

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t stride;
};
struct Operation {
    int compute, scale;
    int32_t transposed;
};
struct Preference {
    uint64_t workspace;
    int alignments;
};
struct Result {  // cublasLtMatmulHeuristicResult_t
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
constexpr uint64_t ALGORITHM = 0xd00;
int layouts;

bool told(const char* word) {
    const char* value = getenv("DUO_TEST_BLAS");
    return value != nullptr && std::string(value) == word;
}

float value(const void* matrix, int type, int64_t at) {
    uint16_t bits = static_cast<const uint16_t*>(matrix)[at];
    if (type == R_16BF) {
        uint32_t wide = uint32_t(bits) << 16;
        float f;
        std::memcpy(&f, &wide, 4);
        return f;
    }
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float f = exponent == 0 ? std::ldexp(float(fraction), -24) : std::ldexp(float(fraction | 1024), exponent - 25);
    return bits & 0x8000 ? -f : f;
}
}  // namespace

extern "C" {
int cublasLtCreate(void** handle) {
    *handle = std::malloc(1);
    return SUCCESS;
}
int cublasLtDestroy(void* handle) {
    std::free(handle);
    return SUCCESS;
}
size_t cublasLtGetVersion() { return 130101; }

int cublasLtMatmulDescCreate(void** made, int compute, int scale) {
    *made = new Operation{compute, scale, 0};
    return SUCCESS;
}
int cublasLtMatmulDescDestroy(void* operation) {
    delete static_cast<Operation*>(operation);
    return SUCCESS;
}
int cublasLtMatmulDescSetAttribute(void* operation, int attribute, const void* value, size_t bytes) {
    if (attribute != TRANSA || bytes != 4) {
        return INVALID;
    }
    std::memcpy(&static_cast<Operation*>(operation)->transposed, value, 4);
    return SUCCESS;
}
int cublasLtMatrixLayoutCreate(void** made, int type, uint64_t rows, uint64_t columns, int64_t stride) {
    layouts++;
    *made = new Layout{type, rows, columns, stride};
    return SUCCESS;
}
int duo_test_layouts() { return layouts; }
int cublasLtMatrixLayoutDestroy(void* layout) {
    layouts--;
    delete static_cast<Layout*>(layout);
    return SUCCESS;
}
int cublasLtMatmulPreferenceCreate(void** made) {
    *made = new Preference{0, 0};
    return SUCCESS;
}
int cublasLtMatmulPreferenceDestroy(void* preference) {
    delete static_cast<Preference*>(preference);
    return SUCCESS;
}
int cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value, size_t bytes) {
    if (attribute >= FIRST_ALIGNMENT && attribute <= LAST_ALIGNMENT && bytes == 4) {
        // Without it algorithms may count on 256 bytes.
        uint32_t alignment;
        std::memcpy(&alignment, value, 4);
        static_cast<Preference*>(preference)->alignments += alignment <= 16;
        return SUCCESS;
    }
    if (attribute != MAX_WORKSPACE || bytes != 8) {
        return INVALID;
    }
    std::memcpy(&static_cast<Preference*>(preference)->workspace, value, 8);
    return SUCCESS;
}
int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void* preference, int wanted, Result* results,
                                   int* found) {
    *found = 0;
    if (told("refuse") || wanted < 1 || static_cast<Preference*>(preference)->alignments != 4) {
        return NOT_SUPPORTED;
    }
    std::memset(results, 0, sizeof *results);
    results->algorithm[0] = ALGORITHM;
    results->workspace = static_cast<Preference*>(preference)->workspace;
    *found = 1;
    return SUCCESS;
}

// D = alpha op(A) B + beta C
int cublasLtMatmul(void*, void* operation, const void* alpha, const void* a, void* aLayout, const void* b, void* bLayout,
                   const void* beta, const void* c, void* cLayout, void* d, void* dLayout, const uint64_t* algorithm,
                   void* workspace, size_t workspaceBytes, void*) {
    auto* how = static_cast<Operation*>(operation);
    auto *left = static_cast<Layout*>(aLayout), *right = static_cast<Layout*>(bLayout), *to = static_cast<Layout*>(dLayout);
    if (how->compute != COMPUTE_32F || how->scale != R_32F || how->transposed != OP_T || *algorithm != ALGORITHM || c != d ||
        cLayout != dLayout || left->type != right->type || (left->type != R_16F && left->type != R_16BF) || to->type != R_32F ||
        left->rows != right->rows || to->rows != left->columns || to->columns != right->columns ||
        (workspaceBytes > 0 && workspace == nullptr)) {
        return INVALID;
    }
    float scale = *static_cast<const float*>(alpha) * (told("wrong") ? 1.5f : 1.0f), keep = *static_cast<const float*>(beta);
    auto* out = static_cast<float*>(d);
    for (uint64_t column = 0; column < to->columns; column++) {
        for (uint64_t row = 0; row < to->rows; row++) {
            float sum = 0;
            for (uint64_t i = 0; i < left->rows; i++) {
                sum += value(a, left->type, int64_t(row) * left->stride + int64_t(i)) *
                       value(b, right->type, int64_t(column) * right->stride + int64_t(i));
            }
            float& cell = out[int64_t(column) * to->stride + int64_t(row)];
            cell = scale * sum + (keep == 0 ? 0 : keep * cell);
        }
    }
    return SUCCESS;
}
}
