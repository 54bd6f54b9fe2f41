package org.duoattention.backend.cpu.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/**
 * Zeroed off-heap memory, 64-byte aligned, that any thread may use until it is closed.
 *
 * <p>Large blocks come from the C library's {@code calloc}, which hands out pages that the system zeroes on first touch:
 * an arena would write every byte of a cache of gigabytes at once, needed or not. They start where a huge page does and
 * ask for such pages. Where native calls are not permitted the arena does it.
 */
final class NativeMemory implements AutoCloseable {
    private static final long ALIGNMENT = 64;
    /** From here on the C library maps fresh pages instead of clearing used ones. */
    private static final long LARGE = 1 << 20;

    private final Arena arena;
    private final MemorySegment segment;

    /**
     * Takes memory.
     *
     * @throws OutOfMemoryError when the system has none
     */
    NativeMemory(long bytes) {
        Arena owner = Arena.ofShared();
        try {
            long alignment = bytes < HugePages.SIZE ? ALIGNMENT : HugePages.SIZE;
            MemorySegment lazy = bytes < LARGE ? null : CLibrary.calloc(bytes + alignment, owner);
            if (lazy == null) {
                segment = owner.allocate(bytes, ALIGNMENT);
            } else {
                segment = lazy.asSlice(-lazy.address() & alignment - 1, bytes, ALIGNMENT);
                HugePages.advise(segment);
            }
        } catch (Throwable e) {
            owner.close();
            throw e;
        }
        arena = owner;
    }

    MemorySegment segment() {
        return segment;
    }

    @Override
    public void close() {
        arena.close();
    }

    /** {@code calloc} and {@code free}; loaded when the first large block is asked for. */
    private static final class CLibrary {
        private static final @Nullable MethodHandle CALLOC;
        private static final @Nullable MethodHandle FREE;

        static {
            MethodHandle calloc = null;
            MethodHandle free = null;
            try {
                Linker linker = Linker.nativeLinker();
                calloc = linker.downcallHandle(
                        linker.defaultLookup().findOrThrow("calloc"),
                        FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
                free = linker.downcallHandle(
                        linker.defaultLookup().findOrThrow("free"), FunctionDescriptor.ofVoid(ValueLayout.ADDRESS));
            } catch (IllegalCallerException | UnsupportedOperationException | java.util.NoSuchElementException e) {
                calloc = null;
            }
            CALLOC = calloc;
            FREE = free;
        }

        /** Zeroed memory that the arena frees, or null when native calls are not permitted or memory is refused. */
        static @Nullable MemorySegment calloc(long bytes, Arena owner) {
            MethodHandle calloc = CALLOC;
            MethodHandle free = FREE;
            if (calloc == null || free == null) {
                return null;
            }
            try {
                MemorySegment block = (MemorySegment) calloc.invokeExact(1L, bytes);
                if (block.equals(MemorySegment.NULL)) {
                    return null;
                }
                return block.reinterpret(bytes, owner, memory -> {
                    try {
                        free.invokeExact(memory);
                    } catch (Throwable e) {
                        throw new IllegalStateException("free failed", e);
                    }
                });
            } catch (RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new IllegalStateException("calloc failed", e);
            }
        }
    }
}
