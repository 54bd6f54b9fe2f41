// Stands for libcuda as far as looking for a GPU goes; what it says is set by duo_test_driver.
#include <cstring>

namespace {
int version, initialised, count, major, minor, old;
long long memory;
}  // namespace

extern "C" {
void duo_test_driver(int theVersion, int ofInit, int devices, int capability, long long bytes) {
    version = theVersion;
    initialised = ofInit;
    count = devices;
    // The hundreds say how many devices before it are older.
    old = capability / 100;
    major = capability % 100 / 10;
    minor = capability % 10;
    memory = bytes;
}

int cuInit(unsigned) { return initialised; }

int cuDriverGetVersion(int* to) {
    *to = version;
    return 0;
}

int cuGetErrorName(int error, const char** name) {
    *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH";
    return error == 803 ? 0 : 1;
}

int cuDeviceGetCount(int* to) {
    *to = count;
    return 0;
}

int cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return ordinal < count ? 0 : 101;
}

int cuDeviceGetName(char* name, int bytes, int) {
    std::strncpy(name, "Stand-in", bytes);
    return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    *value = attribute == 75 ? (device < old ? 7 : major) : attribute == 76 ? minor : -1;
    return 0;
}

int cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = memory;
    return 0;
}
}
