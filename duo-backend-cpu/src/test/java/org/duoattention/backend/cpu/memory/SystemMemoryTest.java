package org.duoattention.backend.cpu.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.List;
import org.junit.jupiter.api.Test;

class SystemMemoryTest {
    @Test
    void leavesRoomForTheHeapAndIsLessThanTheMachineHas() {
        Runtime runtime = Runtime.getRuntime();
        long heapGrowth = runtime.maxMemory() - runtime.totalMemory();
        long total =
                ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();

        assertThat(new SystemMemory().availableBytes()).isBetween(1L, total - heapGrowth);
    }

    @Test
    void readsTheSystemsTable() {
        List<String> meminfo = List.of("MemTotal:       24689764 kB", "MemAvailable:   24000000 kB");

        assertThat(SystemMemory.kibibytes(meminfo, "MemAvailable:")).isEqualTo(24_000_000);
        assertThatThrownBy(() -> SystemMemory.kibibytes(List.of("MemFree: 1 kB"), "MemAvailable:"))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> SystemMemory.kibibytes(List.of("MemAvailable: lots"), "MemAvailable:"))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
