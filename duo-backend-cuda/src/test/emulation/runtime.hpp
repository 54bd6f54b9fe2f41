// The runtime's side of the driver.
#pragma once

#include <stddef.h>

// What went wrong when a thread touched an address that nothing is mapped to.
#define DUO_EMU_UNMAPPED "an access to memory that is not mapped"

extern "C" {
// Runs every block of a launch; what went wrong, or null.
const char* duo_emu_run(
    void (*entry)(const unsigned long long*),
    const unsigned long long* values,
    const unsigned grid[3],
    unsigned threads,
    size_t shared_bytes);
}
