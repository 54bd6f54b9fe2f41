package org.duoattention.examples.cli.machine;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.NoSuchElementException;

/**
 * Backs memory by pages of 2 MiB on Linux, as backends do with theirs, so that the bandwidth they are compared with is the
 * machine's best. Without effect elsewhere and where the kernel refuses.
 */
final class HugePages {
    /** Bytes of a huge page. */
    static final long SIZE = 2L << 20;

    /** {@code MADV_HUGEPAGE} and {@code MADV_COLLAPSE} (Linux 6.1) of {@code <sys/mman.h>}. */
    private static final int[] ADVICE = {14, 25};

    private HugePages() {}

    /** Turns memory that may have been touched already into huge pages, where whole ones fit. */
    static void collapse(MemorySegment memory) {
        long skip = -memory.address() & SIZE - 1;
        long bytes = memory.byteSize() - skip & -SIZE;
        if (bytes <= 0 || !System.getProperty("os.name").equals("Linux")) {
            return;
        }
        try {
            Linker linker = Linker.nativeLinker();
            MethodHandle madvise = linker.downcallHandle(
                    linker.defaultLookup().findOrThrow("madvise"),
                    FunctionDescriptor.of(
                            ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));
            for (int advice : ADVICE) {
                int ignored = (int) madvise.invokeExact(memory.asSlice(skip, bytes), bytes, advice);
            }
        } catch (IllegalCallerException | UnsupportedOperationException | NoSuchElementException e) {
            // Small pages then.
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("madvise failed", e);
        }
    }
}
