// Runs the threads of a block as fibers on one thread of the system.
//
// The order in which fibers run between two barriers alternates from block to block, so that a result that depends on a
// missing barrier differs. A barrier that not all reach, a mask that not all of its lanes give, a misaligned vector
// access: each ends the launch with a message.
#include "runtime.hpp"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
    unsigned char values[2][32 * SLOT];
};

struct Warp {
    Exchange exchanges[32];
};

struct Block {
    std::vector<Fiber*> fibers;
    std::vector<Warp> warps;
    int live;
    int at_barrier;
    Fiber* current;
    void* scheduler;
    void (*entry)(const unsigned long long*);
    const unsigned long long* values;
    const char* failure;
};

// Stacks are kept from launch to launch.
struct Pool {
    std::vector<Fiber*> fibers;
    ~Pool() {
        for (Fiber* fiber : fibers) {
            munmap(fiber->stack, STACK_BYTES);
            delete fiber;
        }
    }
};

thread_local Pool pool;
thread_local Block* block;

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
    uintptr_t top = reinterpret_cast<uintptr_t>(fiber->stack) + STACK_BYTES;
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

// Runs one block; whether it came to its end.
bool run_block(bool backwards) {
    int count = static_cast<int>(block->fibers.size());
    block->live = count;
    block->at_barrier = 0;
    while (block->live > 0) {
        bool progress = false;
        for (int i = 0; i < count; i++) {
            Fiber* fiber = block->fibers[backwards ? count - 1 - i : i];
            if (fiber->state != READY) {
                continue;
            }
            progress = true;
            block->current = fiber;
            duo_emu_switch(&block->scheduler, fiber->stack_pointer);
            if (block->failure != nullptr) {
                return false;
            }
            if (block->live > 0 && block->at_barrier == block->live) {
                release_barrier();
            }
        }
        if (!progress) {
            block->failure = "threads wait for each other: a barrier or an operation of a warp is not reached by all";
            return false;
        }
    }
    return true;
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
    Exchange& exchange = block->warps[first / 32].exchanges[__builtin_ctz(mask)];
    if (exchange.arrived == 0) {
        exchange.mask = mask;
    } else if (exchange.mask != mask) {
        duo_emu_fail("lanes of a warp give different masks to one operation");
    }
    unsigned char* values = exchange.values[exchange.generation & 1];
    memcpy(values + SLOT * lane, value, size);
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

const char* duo_emu_run(
    void (*entry)(const unsigned long long*),
    const unsigned long long* values,
    const unsigned grid[3],
    const unsigned threads,
    size_t shared_bytes) {
    Block state = {};
    state.entry = entry;
    state.values = values;
    state.warps.resize((threads + 31) / 32);
    while (pool.fibers.size() < threads) {
        pool.fibers.push_back(new_fiber());
    }
    state.fibers.assign(pool.fibers.begin(), pool.fibers.begin() + threads);
    size_t bytes = (shared_bytes + 15) / 16 * 16;
    unsigned char* shared = static_cast<unsigned char*>(aligned_alloc(256, (bytes + PADDING_BYTES + 255) / 256 * 256));
    block = &state;
    unsigned number = 0;
    for (unsigned z = 0; z < grid[2] && state.failure == nullptr; z++) {
        for (unsigned y = 0; y < grid[1] && state.failure == nullptr; y++) {
            for (unsigned x = 0; x < grid[0] && state.failure == nullptr; x++) {
                // Not a number in every format of numbers.
                memset(shared, 0xff, bytes);
                memset(shared + bytes, PADDING, PADDING_BYTES);
                for (Warp& warp : state.warps) {
                    for (Exchange& exchange : warp.exchanges) {
                        exchange.arrived = 0;
                    }
                }
                for (unsigned t = 0; t < threads; t++) {
                    Fiber* fiber = state.fibers[t];
                    fiber->self = {{t, 0, 0}, {x, y, z}, {threads, 1, 1}, {grid[0], grid[1], grid[2]},
                                   static_cast<int>(t % 32), shared};
                    prepare(fiber);
                }
                run_block(number++ % 2 == 1);
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
