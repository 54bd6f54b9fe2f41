package org.duoattention.backend.cpu.pool;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/** Counts the physical cores: two hardware threads of one core share the arithmetic units that the kernels fill. */
public final class Cores {
    private Cores() {}

    /** Physical cores that this process may use; the available processors where the system does not tell. */
    public static int physical() {
        return physical(Path.of("/sys/devices/system/cpu"), Runtime.getRuntime().availableProcessors());
    }

    static int physical(Path cpus, int available) {
        Set<String> cores = new HashSet<>();
        try (DirectoryStream<Path> directories = Files.newDirectoryStream(cpus, "cpu[0-9]*")) {
            for (Path cpu : directories) {
                Path siblings = cpu.resolve("topology/thread_siblings_list");
                if (Files.isReadable(siblings)) {
                    cores.add(Files.readString(siblings).strip());
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            return available;
        }
        return cores.isEmpty() ? available : Math.min(cores.size(), available);
    }
}
