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

    @Override
    public long availableBytes() {
        Runtime runtime = Runtime.getRuntime();
        long heapGrowth = runtime.maxMemory() - runtime.totalMemory();
        return Math.max(0, systemBytes() - heapGrowth);
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
                return Long.parseLong(line.substring(label.length()).replace("kB", "").strip());
            }
        }
        throw new IllegalArgumentException("no " + label + " in " + MEMINFO);
    }
}
