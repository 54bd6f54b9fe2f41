package org.duoattention.examples.cli.machine;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What figures are measured on.
 *
 * @param cpu the processor's name, as far as the system says it
 * @param processors processors that the JVM may use
 * @param memoryBytes physical memory
 * @param os name and version of the operating system
 * @param jvm name and version of the JVM
 */
public record Machine(String cpu, int processors, long memoryBytes, String os, String jvm) {
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

    /** This machine. */
    public static Machine current() {
        return new Machine(
                cpuName().orElse(System.getProperty("os.arch")),
                Runtime.getRuntime().availableProcessors(),
                ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean os
                        ? os.getTotalMemorySize()
                        : 0,
                System.getProperty("os.name") + " " + System.getProperty("os.version"),
                System.getProperty("java.vm.name") + " " + Runtime.version());
    }

    private static Optional<String> cpuName() {
        try {
            return Files.readAllLines(CPU_INFO).stream()
                    .filter(line -> line.startsWith("model name"))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst();
        } catch (IOException e) {
            // Other systems have no such file.
            return Optional.empty();
        }
    }
}
