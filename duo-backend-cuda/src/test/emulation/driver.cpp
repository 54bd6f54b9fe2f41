// An emulation of the driver API, as far as the backend calls it: true signatures and error codes, memory of the host.
//
// Work that is queued on a stream is done when something waits for the stream, not before, so that memory which is used
// again too early shows. Errors of kernels come up there too, and stay, as on a device.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "runtime.hpp"

namespace {

typedef int CUresult;
typedef unsigned long long CUdeviceptr;

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_OUT_OF_RESOURCES = 701,
    LAUNCH_FAILED = 719
};

const int SHARED_BYTES = 48 << 10;
const int SHARED_BYTES_OPTIN = 227 << 10;
const int MULTIPROCESSORS = 4;
const unsigned MAX_THREADS = 1024;

struct Module {
    void* library;
};

struct Function {
    std::string name;
    void (*entry)(const unsigned long long*);
    int parameters;
    int shared_bytes = SHARED_BYTES;
};

struct Launch {
    Function* function;
    unsigned grid[3];
    unsigned threads;
    unsigned shared_bytes;
    std::vector<unsigned long long> values;
};

struct Stream {
    std::mutex mutex;
    std::deque<std::function<CUresult()>> work;
};

struct Event {
    Stream* stream = nullptr;
};

struct Graph {
    std::vector<std::unique_ptr<Launch>> nodes;
};

std::mutex state;
std::atomic<bool> initialised{false};
std::atomic<int> failed{0};
std::atomic<long long> launches{0};
std::atomic<long long> graph_launches{0};
std::atomic<long long> created{0};
std::set<void*> streams, events, modules, functions, graphs, executables;
// Address and size of the memory that is mapped and of the ranges that are reserved; size of physical memory by handle.
std::map<CUdeviceptr, size_t> mapped, reserved;
std::map<unsigned long long, size_t> physical;
unsigned long long next_handle = 1;
size_t used;
int context;
thread_local void* current;
// Sizes and addresses of memory are multiples of it. Devices that are open when it becomes larger keep to what they read.
size_t granularity = 2 << 20;
size_t least_granularity = granularity;
// What another program has, and how many times memory can still be had.
size_t others;
long long creations = -1;

size_t total_bytes() {
    const char* text = getenv("DUO_EMULATED_BYTES");
    return text == nullptr ? size_t{6} << 30 : strtoull(text, nullptr, 10);
}

bool is_device_memory(CUdeviceptr address, size_t bytes) {
    std::lock_guard<std::mutex> lock(state);
    auto next = mapped.upper_bound(address);
    if (next == mapped.begin()) {
        return false;
    }
    auto at = std::prev(next);
    // Neighbouring pieces are one range.
    CUdeviceptr end = at->first + at->second;
    while (next != mapped.end() && next->first == end) {
        end += next->second;
        ++next;
    }
    return address + bytes <= end;
}

bool known(const std::set<void*>& handles, void* handle) {
    std::lock_guard<std::mutex> lock(state);
    return handles.count(handle) != 0;
}

template <typename T>
T* remember(std::set<void*>& handles, T* handle) {
    std::lock_guard<std::mutex> lock(state);
    handles.insert(handle);
    return handle;
}

bool forget(std::set<void*>& handles, void* handle) {
    std::lock_guard<std::mutex> lock(state);
    return handles.erase(handle) != 0;
}

CUresult check() {
    if (!initialised) {
        return NOT_INITIALIZED;
    }
    if (failed != 0) {
        return failed;
    }
    return current == nullptr ? INVALID_CONTEXT : SUCCESS;
}

CUresult fail(CUresult result, const std::string& message) {
    fprintf(stderr, "emulated device: %s\n", message.c_str());
    failed = result;
    return result;
}

// Memory that was there when work on it was queued and is not when the work is done.
CUresult unmapped(const char* function) {
    return fail(ILLEGAL_ADDRESS, std::string(function) + ": the memory is not mapped any more");
}

CUresult enqueue(void* handle, std::function<CUresult()> work) {
    if (!known(streams, handle)) {
        return INVALID_HANDLE;
    }
    Stream* stream = static_cast<Stream*>(handle);
    std::lock_guard<std::mutex> lock(stream->mutex);
    stream->work.push_back(std::move(work));
    return SUCCESS;
}

CUresult drain(Stream* stream) {
    std::lock_guard<std::mutex> lock(stream->mutex);
    while (!stream->work.empty()) {
        CUresult result = stream->work.front()();
        stream->work.pop_front();
        if (result != SUCCESS) {
            stream->work.clear();
            return result;
        }
    }
    return failed;
}

CUresult run(const Launch& launch) {
    launches++;
    const char* failure =
        duo_emu_run(launch.function->entry, launch.values.data(), launch.grid, launch.threads, launch.shared_bytes);
    if (failure == nullptr) {
        return SUCCESS;
    }
    CUresult result = strcmp(failure, DUO_EMU_UNMAPPED) == 0 ? ILLEGAL_ADDRESS : LAUNCH_FAILED;
    return fail(result, launch.function->name + ": " + failure);
}

CUresult make_launch(
    Launch& launch, void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
    unsigned shared, void** parameters, void** extra) {
    if (!known(functions, f)) {
        return INVALID_HANDLE;
    }
    if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffffu || gy > 65535 || gz > 65535 || bx == 0 || by != 1 || bz != 1
        || bx > MAX_THREADS || extra != nullptr) {
        return INVALID_VALUE;
    }
    Function* function = static_cast<Function*>(f);
    if (static_cast<int>(shared) > function->shared_bytes) {
        return INVALID_VALUE;
    }
    launch.function = function;
    launch.grid[0] = gx;
    launch.grid[1] = gy;
    launch.grid[2] = gz;
    launch.threads = bx;
    launch.shared_bytes = shared;
    for (int i = 0; i < function->parameters; i++) {
        unsigned long long value;
        memcpy(&value, parameters[i], sizeof value);
        launch.values.push_back(value);
    }
    return SUCCESS;
}

long long bytes_of(const std::map<CUdeviceptr, size_t>& ranges) {
    std::lock_guard<std::mutex> lock(state);
    size_t bytes = 0;
    for (const auto& range : ranges) {
        bytes += range.second;
    }
    return static_cast<long long>(bytes);
}

}  // namespace

#define CHECK()                          \
    do {                                 \
        CUresult result = check();       \
        if (result != SUCCESS) {         \
            return result;               \
        }                                \
    } while (0)

extern "C" {

// For tests.

// How many kernels and graphs were launched.
long long duo_emulated_launches() { return launches; }
long long duo_emulated_graph_launches() { return graph_launches; }

// Bytes of addresses that are reserved, of memory that is mapped to them, and of memory in all.
long long duo_emulated_reserved() { return bytes_of(reserved); }
long long duo_emulated_mapped() { return bytes_of(mapped); }

long long duo_emulated_used() {
    std::lock_guard<std::mutex> lock(state);
    return static_cast<long long>(used);
}

// How many times memory was asked for.
long long duo_emulated_creations() { return created; }

// Another granularity, 4096 or more, for devices that are opened from now on.
void duo_emulated_set_granularity(long long bytes) {
    std::lock_guard<std::mutex> lock(state);
    granularity = static_cast<size_t>(bytes);
    least_granularity = std::min(least_granularity, granularity);
}

// Another program takes so much of the memory.
void duo_emulated_set_others(long long bytes) {
    std::lock_guard<std::mutex> lock(state);
    others = static_cast<size_t>(bytes);
}

// Memory can be had so many times, and then no more; without end if negative.
void duo_emulated_set_creations(long long count) {
    std::lock_guard<std::mutex> lock(state);
    creations = count;
}

// The device works again after a kernel has failed.
void duo_emulated_forget_failure(long long) { failed = 0; }

CUresult cuInit(unsigned flags) {
    if (flags != 0) {
        return INVALID_VALUE;
    }
    initialised = true;
    return SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
    *version = 13000;
    return SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** text) {
    static const std::map<int, const char*> names = {
        {0, "CUDA_SUCCESS"},
        {1, "CUDA_ERROR_INVALID_VALUE"},
        {2, "CUDA_ERROR_OUT_OF_MEMORY"},
        {3, "CUDA_ERROR_NOT_INITIALIZED"},
        {101, "CUDA_ERROR_INVALID_DEVICE"},
        {200, "CUDA_ERROR_INVALID_IMAGE"},
        {201, "CUDA_ERROR_INVALID_CONTEXT"},
        {400, "CUDA_ERROR_INVALID_HANDLE"},
        {500, "CUDA_ERROR_NOT_FOUND"},
        {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
        {719, "CUDA_ERROR_LAUNCH_FAILED"}};
    auto name = names.find(error);
    if (name == names.end()) {
        *text = nullptr;
        return INVALID_VALUE;
    }
    *text = name->second;
    return SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
    *text = "as emulated";
    return error < 0 ? INVALID_VALUE : SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
    if (!initialised) {
        return NOT_INITIALIZED;
    }
    *count = 1;
    return SUCCESS;
}

CUresult cuDeviceGet(int* device, int ordinal) {
    if (!initialised) {
        return NOT_INITIALIZED;
    }
    if (ordinal != 0) {
        return INVALID_DEVICE;
    }
    *device = 0;
    return SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, int device) {
    if (device != 0) {
        return INVALID_DEVICE;
    }
    snprintf(name, static_cast<size_t>(length), "emulated GPU");
    return SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, int attribute, int device) {
    if (device != 0) {
        return INVALID_DEVICE;
    }
    switch (attribute) {
        case 16:
            *value = MULTIPROCESSORS;
            return SUCCESS;
        case 75:
            *value = 9;
            return SUCCESS;
        case 76:
            *value = 0;
            return SUCCESS;
        case 97:
            *value = SHARED_BYTES_OPTIN;
            return SUCCESS;
        case 102:
            *value = 1;
            return SUCCESS;
        default:
            return INVALID_VALUE;
    }
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, int device) {
    if (device != 0) {
        return INVALID_DEVICE;
    }
    *bytes = total_bytes();
    return SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(void** out, int device) {
    if (device != 0) {
        return INVALID_DEVICE;
    }
    *out = &context;
    return SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(int device) { return device == 0 ? SUCCESS : INVALID_DEVICE; }

CUresult cuCtxSetCurrent(void* c) {
    if (c != nullptr && c != &context) {
        return INVALID_CONTEXT;
    }
    current = c;
    return SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
    CHECK();
    std::lock_guard<std::mutex> lock(state);
    *total = total_bytes();
    *free = *total - std::min(*total, used + others);
    return SUCCESS;
}

CUresult cuMemGetAllocationGranularity(size_t* out, const int* property, int) {
    if (property[0] != 1 || property[2] != 1 || property[3] != 0) {
        return INVALID_VALUE;
    }
    std::lock_guard<std::mutex> lock(state);
    *out = granularity;
    return SUCCESS;
}

CUresult cuMemAddressReserve(
    CUdeviceptr* address, size_t size, size_t alignment, CUdeviceptr wish, unsigned long long flags) {
    CHECK();
    const size_t aligned = 2 << 20;
    if (size == 0 || size % least_granularity != 0 || alignment != 0 || wish != 0 || flags != 0) {
        return INVALID_VALUE;
    }
    void* range = mmap(nullptr, size + aligned, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) {
        return OUT_OF_MEMORY;
    }
    *address = (reinterpret_cast<CUdeviceptr>(range) + aligned - 1) / aligned * aligned;
    munmap(range, *address - reinterpret_cast<CUdeviceptr>(range));
    munmap(reinterpret_cast<void*>(*address + size), reinterpret_cast<CUdeviceptr>(range) + aligned - *address);
    std::lock_guard<std::mutex> lock(state);
    reserved[*address] = size;
    return SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr address, size_t size) {
    CHECK();
    std::lock_guard<std::mutex> lock(state);
    auto range = reserved.find(address);
    auto inside = mapped.lower_bound(address);
    if (range == reserved.end() || range->second != size || (inside != mapped.end() && inside->first < address + size)) {
        return INVALID_VALUE;
    }
    reserved.erase(range);
    munmap(reinterpret_cast<void*>(address), size);
    return SUCCESS;
}

CUresult cuMemCreate(unsigned long long* handle, size_t size, const int* property, unsigned long long flags) {
    CHECK();
    if (size == 0 || size % least_granularity != 0 || property[0] != 1 || property[2] != 1 || flags != 0) {
        return INVALID_VALUE;
    }
    std::lock_guard<std::mutex> lock(state);
    if (used + others + size > total_bytes() || creations == 0) {
        return OUT_OF_MEMORY;
    }
    creations -= creations > 0 ? 1 : 0;
    created++;
    used += size;
    *handle = next_handle++;
    physical[*handle] = size;
    return SUCCESS;
}

CUresult cuMemRelease(unsigned long long handle) {
    CHECK();
    std::lock_guard<std::mutex> lock(state);
    auto memory = physical.find(handle);
    if (memory == physical.end()) {
        return INVALID_VALUE;
    }
    used -= memory->second;
    physical.erase(memory);
    return SUCCESS;
}

CUresult cuMemMap(CUdeviceptr address, size_t size, size_t offset, unsigned long long handle, unsigned long long flags) {
    CHECK();
    std::lock_guard<std::mutex> lock(state);
    auto memory = physical.find(handle);
    auto next = reserved.upper_bound(address);
    if (memory == physical.end() || memory->second != size || offset != 0 || flags != 0 || next == reserved.begin()) {
        return INVALID_VALUE;
    }
    auto range = std::prev(next);
    auto after = mapped.lower_bound(address);
    if (address + size > range->first + range->second || (after != mapped.end() && after->first < address + size)) {
        return INVALID_VALUE;
    }
    mapped[address] = size;
    return SUCCESS;
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t size, const int* access, size_t count) {
    CHECK();
    std::lock_guard<std::mutex> lock(state);
    auto memory = mapped.find(address);
    if (memory == mapped.end() || memory->second != size || count != 1 || access[0] != 1 || access[1] != 0
        || access[2] != 3) {
        return INVALID_VALUE;
    }
    mprotect(reinterpret_cast<void*>(address), size, PROT_READ | PROT_WRITE);
    // Nobody may count on zeros.
    memset(reinterpret_cast<void*>(address), 0xC5, size);
    return SUCCESS;
}

CUresult cuMemUnmap(CUdeviceptr address, size_t size) {
    CHECK();
    std::lock_guard<std::mutex> lock(state);
    auto memory = mapped.find(address);
    if (memory == mapped.end() || memory->second != size) {
        return INVALID_VALUE;
    }
    mapped.erase(memory);
    // Gives the pages back and makes an access a fault.
    void* range = reinterpret_cast<void*>(address);
    mmap(range, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return SUCCESS;
}

CUresult cuMemHostAlloc(void** out, size_t size, unsigned flags) {
    CHECK();
    if (size == 0 || flags != 0) {
        return INVALID_VALUE;
    }
    *out = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    return *out == nullptr ? OUT_OF_MEMORY : SUCCESS;
}

CUresult cuMemFreeHost(void* memory) {
    CHECK();
    free(memory);
    return SUCCESS;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, size_t bytes, void* stream) {
    CHECK();
    if (!is_device_memory(target, bytes)) {
        return INVALID_VALUE;
    }
    return enqueue(stream, [=]() -> CUresult {
        if (!is_device_memory(target, bytes)) {
            return unmapped("cuMemcpyHtoDAsync");
        }
        memcpy(reinterpret_cast<void*>(target), source, bytes);
        return SUCCESS;
    });
}

CUresult cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, size_t bytes, void* stream) {
    CHECK();
    if (!is_device_memory(source, bytes)) {
        return INVALID_VALUE;
    }
    return enqueue(stream, [=]() -> CUresult {
        if (!is_device_memory(source, bytes)) {
            return unmapped("cuMemcpyDtoHAsync");
        }
        memcpy(target, reinterpret_cast<void*>(source), bytes);
        return SUCCESS;
    });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t bytes, void* stream) {
    CHECK();
    if (!is_device_memory(source, bytes) || !is_device_memory(target, bytes)) {
        return INVALID_VALUE;
    }
    return enqueue(stream, [=]() -> CUresult {
        if (!is_device_memory(source, bytes) || !is_device_memory(target, bytes)) {
            return unmapped("cuMemcpyDtoDAsync");
        }
        memmove(reinterpret_cast<void*>(target), reinterpret_cast<void*>(source), bytes);
        return SUCCESS;
    });
}

CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t bytes, void* stream) {
    CHECK();
    if (!is_device_memory(target, bytes)) {
        return INVALID_VALUE;
    }
    return enqueue(stream, [=]() -> CUresult {
        if (!is_device_memory(target, bytes)) {
            return unmapped("cuMemsetD8Async");
        }
        memset(reinterpret_cast<void*>(target), value, bytes);
        return SUCCESS;
    });
}

CUresult cuModuleLoadData(void** out, const void* image) {
    CHECK();
    static const std::string PREFIX = "duo-emulated:";
    const char* text = static_cast<const char*>(image);
    if (strncmp(text, PREFIX.c_str(), PREFIX.size()) != 0) {
        return INVALID_IMAGE;
    }
    std::string path(text + PREFIX.size(), strcspn(text + PREFIX.size(), "\r\n"));
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        fprintf(stderr, "emulated device: %s\n", dlerror());
        return INVALID_IMAGE;
    }
    *out = remember(modules, new Module{library});
    return SUCCESS;
}

CUresult cuModuleUnload(void* module) {
    CHECK();
    // The library stays: functions of an unloaded module are found out by their handles.
    return forget(modules, module) ? SUCCESS : INVALID_HANDLE;
}

CUresult cuModuleGetFunction(void** out, void* module, const char* name) {
    CHECK();
    if (!known(modules, module)) {
        return INVALID_HANDLE;
    }
    void* library = static_cast<Module*>(module)->library;
    void* entry = dlsym(library, (std::string("duo_entry_") + name).c_str());
    void* count = dlsym(library, (std::string("duo_count_") + name).c_str());
    if (entry == nullptr || count == nullptr) {
        return NOT_FOUND;
    }
    Function* function = new Function();
    function->name = name;
    function->entry = reinterpret_cast<void (*)(const unsigned long long*)>(entry);
    function->parameters = reinterpret_cast<int (*)()>(count)();
    *out = remember(functions, function);
    return SUCCESS;
}

CUresult cuFuncSetAttribute(void* f, int attribute, int value) {
    CHECK();
    if (!known(functions, f)) {
        return INVALID_HANDLE;
    }
    if (attribute != 8 || value < 0 || value > SHARED_BYTES_OPTIN) {
        return INVALID_VALUE;
    }
    static_cast<Function*>(f)->shared_bytes = value;
    return SUCCESS;
}

CUresult cuLaunchKernel(
    void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* stream,
    void** parameters, void** extra) {
    CHECK();
    auto launch = std::make_shared<Launch>();
    CUresult result = make_launch(*launch, f, gx, gy, gz, bx, by, bz, shared, parameters, extra);
    return result != SUCCESS ? result : enqueue(stream, [launch] { return run(*launch); });
}

CUresult cuStreamCreate(void** out, unsigned flags) {
    CHECK();
    if (flags > 1) {
        return INVALID_VALUE;
    }
    *out = remember(streams, new Stream());
    return SUCCESS;
}

CUresult cuStreamDestroy_v2(void* stream) {
    CHECK();
    if (!forget(streams, stream)) {
        return INVALID_HANDLE;
    }
    Stream* mine = static_cast<Stream*>(stream);
    CUresult result = drain(mine);
    delete mine;
    return result;
}

CUresult cuStreamSynchronize(void* stream) {
    CHECK();
    return known(streams, stream) ? drain(static_cast<Stream*>(stream)) : INVALID_HANDLE;
}

CUresult cuEventCreate(void** out, unsigned) {
    CHECK();
    *out = remember(events, new Event());
    return SUCCESS;
}

CUresult cuEventDestroy_v2(void* event) {
    CHECK();
    if (!forget(events, event)) {
        return INVALID_HANDLE;
    }
    delete static_cast<Event*>(event);
    return SUCCESS;
}

CUresult cuEventRecord(void* event, void* stream) {
    CHECK();
    if (!known(events, event) || !known(streams, stream)) {
        return INVALID_HANDLE;
    }
    static_cast<Event*>(event)->stream = static_cast<Stream*>(stream);
    return SUCCESS;
}

CUresult cuEventSynchronize(void* event) {
    CHECK();
    if (!known(events, event)) {
        return INVALID_HANDLE;
    }
    Stream* stream = static_cast<Event*>(event)->stream;
    return stream == nullptr || !known(streams, stream) ? SUCCESS : drain(stream);
}

CUresult cuGraphCreate(void** out, unsigned flags) {
    CHECK();
    if (flags != 0) {
        return INVALID_VALUE;
    }
    *out = remember(graphs, new Graph());
    return SUCCESS;
}

CUresult cuGraphDestroy(void* graph) {
    CHECK();
    if (!forget(graphs, graph)) {
        return INVALID_HANDLE;
    }
    delete static_cast<Graph*>(graph);
    return SUCCESS;
}

struct KernelNode {
    void* function;
    unsigned grid[3];
    unsigned threads[3];
    unsigned shared;
    void** parameters;
    void** extra;
    void* kernel;
    void* context;
};

CUresult cuGraphAddKernelNode_v2(
    void** out, void* graph, void* const* dependencies, size_t count, const KernelNode* node) {
    CHECK();
    if (!known(graphs, graph)) {
        return INVALID_HANDLE;
    }
    Graph* mine = static_cast<Graph*>(graph);
    // Nodes are run in the order in which they were added: each depends on the one before.
    if (mine->nodes.empty() ? count != 0 : count != 1 || dependencies[0] != mine->nodes.back().get()) {
        return INVALID_VALUE;
    }
    auto launch = std::make_unique<Launch>();
    CUresult result = make_launch(
        *launch, node->function, node->grid[0], node->grid[1], node->grid[2], node->threads[0], node->threads[1],
        node->threads[2], node->shared, node->parameters, node->extra);
    if (result == SUCCESS) {
        *out = launch.get();
        mine->nodes.push_back(std::move(launch));
    }
    return result;
}

CUresult cuGraphInstantiateWithFlags(void** out, void* graph, unsigned long long flags) {
    CHECK();
    if (!known(graphs, graph)) {
        return INVALID_HANDLE;
    }
    if (flags != 0) {
        return INVALID_VALUE;
    }
    auto* executable = new std::vector<std::shared_ptr<Launch>>();
    for (const auto& node : static_cast<Graph*>(graph)->nodes) {
        executable->push_back(std::make_shared<Launch>(*node));
    }
    *out = remember(executables, executable);
    return SUCCESS;
}

CUresult cuGraphExecDestroy(void* executable) {
    CHECK();
    if (!forget(executables, executable)) {
        return INVALID_HANDLE;
    }
    delete static_cast<std::vector<std::shared_ptr<Launch>>*>(executable);
    return SUCCESS;
}

CUresult cuGraphLaunch(void* executable, void* stream) {
    CHECK();
    if (!known(executables, executable)) {
        return INVALID_HANDLE;
    }
    graph_launches++;
    for (const auto& launch : *static_cast<std::vector<std::shared_ptr<Launch>>*>(executable)) {
        CUresult result = enqueue(stream, [launch] { return run(*launch); });
        if (result != SUCCESS) {
            return result;
        }
    }
    return SUCCESS;
}
}
