package org.duoattention.backend.cpu.memory;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * What the operating system has to spare: on Linux {@code MemAvailable}, which counts file cache that can be dropped (and
 * mapped checkpoints are file cache), elsewhere the physical memory; in both cases at most what a container allows, and
 * less what the Java heap may still grow by.
 */
public final class SystemMemory implements MemoryLimit {
    private static final Path MEMINFO = Path.of("/proc/meminfo");

    /** How long an answer of the system is used again, so that many small allocations do not ask each time. */
    private static final long FRESH_NANOS = 20_000_000;

    private volatile Answer last = new Answer(System.nanoTime() - FRESH_NANOS, 0);

    /** What the system had to spare at a time. */
    private record Answer(long nanos, long bytes) {}

    @Override
    public long availableBytes() {
        Answer answer = last;
        if (System.nanoTime() - answer.nanos >= FRESH_NANOS) {
            answer = new Answer(System.nanoTime(), systemBytes());
            last = answer;
        }
        Runtime runtime = Runtime.getRuntime();
        long heapGrowth = runtime.maxMemory() - runtime.totalMemory();
        return Math.max(0, answer.bytes - heapGrowth);
    }

    private static long systemBytes() {
        OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
        long total = system.getTotalMemorySize();
        try {
            List<String> meminfo = Files.readAllLines(MEMINFO);
            long available = kibibytes(meminfo, "MemAvailable:") * 1024;
            long machine = kibibytes(meminfo, "MemTotal:") * 1024;
            // The bean knows a container's limit, the file does not.
            return total < machine ? Math.min(available, system.getFreeMemorySize()) : available;
        } catch (IOException | IllegalArgumentException e) {
            return total;
        }
    }

    static long kibibytes(List<String> meminfo, String label) {
        for (String line : meminfo) {
            if (line.startsWith(label)) {
                return Long.parseLong(
                        line.substring(label.length()).replace("kB", "").strip());
            }
        }
        throw new IllegalArgumentException("no " + label + " in " + MEMINFO);
    }
}
