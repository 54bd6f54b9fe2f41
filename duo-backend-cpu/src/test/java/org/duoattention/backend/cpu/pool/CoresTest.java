package org.duoattention.backend.cpu.pool;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CoresTest {
    @TempDir
    Path cpus;

    private void cpu(int number, String siblings) throws IOException {
        Path topology = Files.createDirectories(cpus.resolve("cpu" + number + "/topology"));
        Files.writeString(topology.resolve("thread_siblings_list"), siblings + "\n");
    }

    @Test
    void countsHardwareThreadsOfOneCoreOnce() throws IOException {
        cpu(0, "0,2");
        cpu(1, "1,3");
        cpu(2, "0,2");
        cpu(3, "1,3");

        assertThat(Cores.physical(cpus, 4)).isEqualTo(2);
    }

    @Test
    void isNotMoreThanWhatIsAvailable() throws IOException {
        for (int i = 0; i < 8; i++) {
            cpu(i, String.valueOf(i));
        }

        assertThat(Cores.physical(cpus, 3)).isEqualTo(3);
    }

    @Test
    void takesWhatIsAvailableWhereTheSystemDoesNotTell() {
        assertThat(Cores.physical(cpus, 5)).isEqualTo(5);
        assertThat(Cores.physical(cpus.resolve("absent"), 5)).isEqualTo(5);
    }
}
