package org.duoattention.backend.cpu.memory;

/** How much more memory this process may take. */
@FunctionalInterface
public interface MemoryLimit {
    /** Bytes that can be taken now without running the system out of memory, as far as is known; at least 0. */
    long availableBytes();
}
