// Runs the threads of a block as fibers on one thread of the system.
//
// The order in which fibers run between two barriers differs from block to block, so that a result that depends on a
// missing barrier differs: forwards, backwards, or shuffled, where a warp may be far ahead of the others. What orders follow
// each other depends on the environment variable DUO_EMULATED_SEED, 0 by default. The target of an asynchronous copy is
// overwritten when the copy begins and when it is waited for, since it may be written at any time between. A barrier that not
// all reach, a mask that not all of its lanes give, a misaligned vector access, an address that nothing is mapped to: each ends
// the launch with a message.
#include "runtime.hpp"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

struct duo_dim3 {
    unsigned x, y, z;
};

struct duo_emu_thread {
    duo_dim3 thread_index, block_index, block_dim, grid_dim;
    int lane;
    void* dynamic_shared;
};

namespace {

const size_t STACK_BYTES = 256 << 10;
const size_t SLOT = 64;
const unsigned char PADDING = 0xA7;
const size_t PADDING_BYTES = 256;

enum State { READY, AT_BARRIER, AT_EXCHANGE, DONE };

struct Copy {
    void* shared;
    const void* global;
    bool valid;
};

struct Fiber {
    duo_emu_thread self;
    void* stack_pointer;
    char* stack;
    State state;
    unsigned waiting_mask;
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open_group;
};

// What the lanes of one mask are doing together. Masks that are used at the same time are disjoint, so that the lowest
// lane tells them apart.
struct Exchange {
    unsigned mask;
    unsigned arrived;
    unsigned generation;
};

// The values, which are large, are apart from what is set back for every block.
struct Warp {
    Exchange exchanges[32];
    unsigned char values[32][2][32 * SLOT];
};

struct Block {
    std::vector<Fiber*> fibers;
    Warp* warps;
    size_t warp_count;
    int live;
    int at_barrier;
    Fiber* current;
    void* scheduler;
    void (*entry)(const unsigned long long*);
    const unsigned long long* values;
    const char* failure;
    std::vector<int> warp_order;
};

enum Order { FORWARDS, BACKWARDS, SHUFFLED, ORDERS };

// Stacks and warps are kept from launch to launch.
struct Pool {
    std::vector<Fiber*> fibers;
    std::vector<Warp> warps;
    ~Pool() {
        for (Fiber* fiber : fibers) {
            munmap(fiber->stack, STACK_BYTES);
            delete fiber;
        }
    }
};

thread_local Pool pool;
// Read at every switch, and small enough for the place that the thread has for libraries loaded later.
__attribute__((tls_model("initial-exec"))) thread_local Block* block;
std::atomic<unsigned long long> started{0};

// Numbers that look random (splitmix64).
struct Numbers {
    unsigned long long state;

    unsigned next(unsigned most) {
        unsigned long long z = state += 0x9e3779b97f4a7c15ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        return static_cast<unsigned>((z ^ z >> 31) >> 32) % most;
    }
};

unsigned long long seed() {
    static const unsigned long long chosen = [] {
        const char* text = getenv("DUO_EMULATED_SEED");
        return text == nullptr ? 0 : strtoull(text, nullptr, 10);
    }();
    return chosen;
}

}  // namespace

extern "C" void duo_emu_switch(void** save, void* load);
asm(R"(
.text
.globl duo_emu_switch
.type duo_emu_switch, @function
duo_emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size duo_emu_switch, .-duo_emu_switch
)");

namespace {

void to_scheduler() {
    duo_emu_switch(&block->current->stack_pointer, block->scheduler);
}

void fiber_main() {
    block->entry(block->values);
    block->current->state = DONE;
    block->live--;
    to_scheduler();
    abort();
}

void prepare(Fiber* fiber) {
    // Stacks that all end at the same place of a page would take the same lines of the caches from each other.
    uintptr_t top = reinterpret_cast<uintptr_t>(fiber->stack) + STACK_BYTES - fiber->self.thread_index.x * 9 % 512 * 64;
    void** sp = reinterpret_cast<void**>(top);
    // As after a call: the stack is 8 bytes off a multiple of 16 when a function begins.
    *--sp = nullptr;
    *--sp = reinterpret_cast<void*>(fiber_main);
    for (int i = 0; i < 6; i++) {
        *--sp = nullptr;
    }
    fiber->stack_pointer = sp;
    fiber->state = READY;
    fiber->groups.clear();
    fiber->open_group.clear();
}

Fiber* new_fiber() {
    Fiber* fiber = new Fiber();
    void* stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) {
        perror("the stack of an emulated thread");
        abort();
    }
    fiber->stack = static_cast<char*>(stack);
    return fiber;
}

void release_barrier() {
    block->at_barrier = 0;
    for (Fiber* fiber : block->fibers) {
        if (fiber->state == AT_BARRIER) {
            fiber->state = READY;
        }
    }
}

// Runs a fiber until it waits; whether the block goes on.
bool run_fiber(Fiber* fiber) {
    block->current = fiber;
    duo_emu_switch(&block->scheduler, fiber->stack_pointer);
    if (block->failure != nullptr) {
        return false;
    }
    if (block->live > 0 && block->at_barrier == block->live) {
        release_barrier();
    }
    return true;
}

// Runs fibers first .. end-1 that can run, beginning with one of them; how many there were, or -1 when the block failed.
int run_fibers(int first, int end, int begin, bool backwards) {
    int ran = 0;
    int count = end - first;
    Fiber* const* fibers = block->fibers.data() + first;
    int next = (begin + (backwards ? count - 1 : 0)) % count;
    for (int i = 0; i < count; i++) {
        Fiber* fiber = fibers[next];
        next = backwards ? (next == 0 ? count - 1 : next - 1) : (next == count - 1 ? 0 : next + 1);
        if (fiber->state == READY) {
            ran++;
            if (!run_fiber(fiber)) {
                return -1;
            }
        }
    }
    return ran;
}

// Runs every warp in a random order, each for one step or as far as it comes.
int run_shuffled(Numbers& numbers) {
    std::vector<int>& order = block->warp_order;
    for (size_t i = order.size(); i > 1; i--) {
        std::swap(order[i - 1], order[numbers.next(static_cast<unsigned>(i))]);
    }
    int all = 0;
    for (int warp : order) {
        int end = std::min(32 * warp + 32, static_cast<int>(block->fibers.size()));
        bool ahead = numbers.next(2) == 0;
        int ran;
        do {
            ran = run_fibers(32 * warp, end, static_cast<int>(numbers.next(32)), numbers.next(2) == 0);
            if (ran < 0) {
                return ran;
            }
            all += ran;
        } while (ahead && ran > 0);
    }
    return all;
}

// Runs one block; whether it came to its end.
bool run_block(Numbers numbers) {
    int count = static_cast<int>(block->fibers.size());
    unsigned order = numbers.next(ORDERS);
    block->live = count;
    block->at_barrier = 0;
    while (block->live > 0) {
        int ran = order == SHUFFLED ? run_shuffled(numbers) : run_fibers(0, count, 0, order == BACKWARDS);
        if (ran < 0) {
            return false;
        }
        if (ran == 0) {
            block->failure = "threads wait for each other: a barrier or an operation of a warp is not reached by all";
            return false;
        }
    }
    return true;
}

// A copy whose size is nearly always one of a few: these become moves.
void store(unsigned char* target, const void* value, size_t size) {
    switch (size) {
        case 0:
            break;
        case 4:
            memcpy(target, value, 4);
            break;
        case 16:
            memcpy(target, value, 16);
            break;
        case 48:
            memcpy(target, value, 48);
            break;
        default:
            memcpy(target, value, size);
    }
}

}  // namespace

extern "C" {

duo_emu_thread* duo_emu_self() {
    return &block->current->self;
}

void duo_emu_barrier() {
    block->current->state = AT_BARRIER;
    block->at_barrier++;
    to_scheduler();
}

void duo_emu_fail(const char* message) {
    block->failure = message;
    to_scheduler();
    abort();
}

const unsigned char* duo_emu_exchange(unsigned mask, const void* value, size_t size) {
    Fiber* fiber = block->current;
    int lane = fiber->self.lane;
    if (size > SLOT || !(mask >> lane & 1)) {
        duo_emu_fail("a lane takes part in an operation of a warp without being in its mask");
    }
    int first = fiber->self.thread_index.x / 32 * 32;
    int lanes = static_cast<int>(block->fibers.size()) - first;
    if (lanes < 32 && mask >> lanes != 0) {
        duo_emu_fail("the mask of an operation of a warp has lanes that do not exist");
    }
    Warp& warp = block->warps[first / 32];
    int lowest = __builtin_ctz(mask);
    Exchange& exchange = warp.exchanges[lowest];
    if (exchange.arrived == 0) {
        exchange.mask = mask;
    } else if (exchange.mask != mask) {
        duo_emu_fail("lanes of a warp give different masks to one operation");
    }
    unsigned char* values = warp.values[lowest][exchange.generation & 1];
    store(values + SLOT * lane, value, size);
    exchange.arrived |= 1u << lane;
    if (exchange.arrived == mask) {
        exchange.arrived = 0;
        exchange.generation++;
        for (int i = 0; i < 32 && first + i < static_cast<int>(block->fibers.size()); i++) {
            Fiber* other = block->fibers[first + i];
            if (other != fiber && (mask >> i & 1) && other->state == AT_EXCHANGE) {
                other->state = READY;
            }
        }
    } else {
        fiber->state = AT_EXCHANGE;
        to_scheduler();
    }
    return values;
}

void duo_emu_copy_async(void* shared, const void* global, int valid) {
    if (reinterpret_cast<uintptr_t>(shared) % 16 != 0 || reinterpret_cast<uintptr_t>(global) % 16 != 0) {
        duo_emu_fail("cp.async of an address that is not aligned to 16 bytes");
    }
    // Not a number in every format of numbers, for whoever reads it before the wait or still reads what was there.
    memset(shared, 0xff, 16);
    block->current->open_group.push_back({shared, global, valid != 0});
}

void duo_emu_copy_commit() {
    Fiber* fiber = block->current;
    fiber->groups.push_back(fiber->open_group);
    fiber->open_group.clear();
}

// Copies are made here and no earlier, so that a missing wait shows.
void duo_emu_copy_wait(int groups) {
    Fiber* fiber = block->current;
    while (static_cast<int>(fiber->groups.size()) > groups) {
        for (const Copy& copy : fiber->groups.front()) {
            if (copy.valid) {
                memcpy(copy.shared, copy.global, 16);
            } else {
                memset(copy.shared, 0, 16);
            }
        }
        fiber->groups.erase(fiber->groups.begin());
    }
}

// What -fsanitize=alignment calls.
void __ubsan_handle_type_mismatch_v1(void*, void*) {
    duo_emu_fail("a misaligned access");
}

void __ubsan_handle_type_mismatch_v1_abort(void*, void*) {
    duo_emu_fail("a misaligned access");
}

// Where a thread goes on that touched an address without memory.
void duo_emu_faulted() {
    duo_emu_fail(DUO_EMU_UNMAPPED);
}

namespace {

struct sigaction before;

// The JVM lives on faults of its own threads: what does not come from a kernel is for its handler.
void on_fault(int signal, siginfo_t* info, void* state) {
    if (block != nullptr && block->current != nullptr) {
        greg_t* registers = static_cast<ucontext_t*>(state)->uc_mcontext.gregs;
        // As after a call, below what the function may use without moving the stack's pointer.
        registers[REG_RSP] = (registers[REG_RSP] - 256) / 16 * 16 - 8;
        registers[REG_RIP] = reinterpret_cast<greg_t>(duo_emu_faulted);
        return;
    }
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(signal, info, state);
    } else {
        sigaction(signal, &before, nullptr);
    }
}

void watch_faults() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action = {};
        sigaction(SIGSEGV, nullptr, &before);
        action.sa_sigaction = on_fault;
        action.sa_mask = before.sa_mask;
        action.sa_flags = before.sa_flags | SA_SIGINFO;
        sigaction(SIGSEGV, &action, nullptr);
    });
}

}  // namespace

const char* duo_emu_run(
    void (*entry)(const unsigned long long*),
    const unsigned long long* values,
    const unsigned grid[3],
    const unsigned threads,
    size_t shared_bytes) {
    watch_faults();
    Block state = {};
    state.entry = entry;
    state.values = values;
    state.warp_count = (threads + 31) / 32;
    if (pool.warps.size() < state.warp_count) {
        pool.warps.resize(state.warp_count);
    }
    state.warps = pool.warps.data();
    while (pool.fibers.size() < threads) {
        pool.fibers.push_back(new_fiber());
    }
    state.fibers.assign(pool.fibers.begin(), pool.fibers.begin() + threads);
    size_t bytes = (shared_bytes + 15) / 16 * 16;
    unsigned char* shared = static_cast<unsigned char*>(aligned_alloc(256, (bytes + PADDING_BYTES + 255) / 256 * 256));
    for (size_t i = 0; i < state.warp_count; i++) {
        state.warp_order.push_back(static_cast<int>(i));
    }
    block = &state;
    Numbers numbers = {seed() << 32 ^ started++};
    for (unsigned z = 0; z < grid[2] && state.failure == nullptr; z++) {
        for (unsigned y = 0; y < grid[1] && state.failure == nullptr; y++) {
            for (unsigned x = 0; x < grid[0] && state.failure == nullptr; x++) {
                // Not a number in every format of numbers.
                memset(shared, 0xff, bytes);
                memset(shared + bytes, PADDING, PADDING_BYTES);
                for (size_t i = 0; i < state.warp_count; i++) {
                    for (Exchange& exchange : state.warps[i].exchanges) {
                        exchange.arrived = 0;
                    }
                }
                for (unsigned t = 0; t < threads; t++) {
                    Fiber* fiber = state.fibers[t];
                    fiber->self = {{t, 0, 0}, {x, y, z}, {threads, 1, 1}, {grid[0], grid[1], grid[2]},
                                   static_cast<int>(t % 32), shared};
                    prepare(fiber);
                }
                run_block({numbers.next(~0u)});
                for (size_t i = 0; i < PADDING_BYTES && state.failure == nullptr; i++) {
                    if (shared[bytes + i] != PADDING) {
                        state.failure = "a write past the end of dynamic shared memory";
                    }
                }
            }
        }
    }
    block = nullptr;
    free(shared);
    return state.failure;
}
}
