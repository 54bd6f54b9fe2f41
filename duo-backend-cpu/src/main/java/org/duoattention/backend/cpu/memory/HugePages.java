package org.duoattention.backend.cpu.memory;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/**
 * Asks Linux to back large memory by pages of 2 MiB instead of 4 KiB. Caches and weights are read from end to end for every
 * token; with small pages a good part of that time goes into finding pages, most of all in virtual machines.
 *
 * <p>A wish, not a condition: other systems, a kernel that is set to {@code never} in {@code
 * /sys/kernel/mm/transparent_hugepage/enabled}, and a JVM without native access do without.
 */
final class HugePages {
    /** Bytes of a huge page. */
    static final long SIZE = 2L << 20;

    /** {@code MADV_HUGEPAGE} of {@code <sys/mman.h>} on Linux. */
    private static final int ADVICE = 14;

    private static final @Nullable MethodHandle MADVISE = find();

    private HugePages() {}

    private static @Nullable MethodHandle find() {
        if (!System.getProperty("os.name").equals("Linux")) {
            return null;
        }
        try {
            Linker linker = Linker.nativeLinker();
            return linker.downcallHandle(
                    linker.defaultLookup().findOrThrow("madvise"),
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));
        } catch (IllegalCallerException | UnsupportedOperationException | java.util.NoSuchElementException e) {
            return null;
        }
    }

    /**
     * Asks for huge pages where whole ones fit, so that not more memory is taken than before: the ends of a block keep
     * small pages.
     *
     * @param block memory that was not touched yet
     */
    static void advise(MemorySegment block) {
        MethodHandle madvise = MADVISE;
        long skip = -block.address() & SIZE - 1;
        long bytes = block.byteSize() - skip & -SIZE;
        if (madvise == null || bytes <= 0) {
            return;
        }
        try {
            // Refused where the kernel was built without huge pages; small ones do then.
            int ignored = (int) madvise.invokeExact(block.asSlice(skip, bytes), bytes, ADVICE);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("madvise failed", e);
        }
    }
}
