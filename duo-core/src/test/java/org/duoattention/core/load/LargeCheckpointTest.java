package org.duoattention.core.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.StringJoiner;
import org.duoattention.api.tensor.HostTensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A checkpoint of the size of an 8B model, as a sparse file that takes no room on disk. */
class LargeCheckpointTest {
    private static final int LAYERS = 32;
    private static final int TENSORS_PER_LAYER = 9;
    private static final long EXTENT = 27_000;

    @TempDir
    Path directory;

    @Test
    void sixteenGigabytesOpenAtOnceAndTakeNoHeap() throws IOException {
        long tensorBytes = EXTENT * 1024 * 2;
        long total = tensorBytes * LAYERS * TENSORS_PER_LAYER;
        assertThat(total).isGreaterThan(15_900_000_000L);
        Path file = directory.resolve("model.safetensors");
        long freeBefore = Files.getFileStore(directory).getUsableSpace();
        byte[] header = header(tensorBytes).getBytes(StandardCharsets.UTF_8);
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.write(CheckpointFiles.withLength(header.length, header));
            out.setLength(8 + header.length + total);
            // The last element becomes the BF16 1.5.
            out.seek(8 + header.length + total - 2);
            out.write(0xc0);
            out.write(0x3f);
        } catch (IOException e) {
            assumeTrue(false, "skipped: the disk cannot hold a sparse file of 16 GB: " + e.getMessage());
        }
        assumeTrue(
                freeBefore - Files.getFileStore(directory).getUsableSpace() < total / 2,
                "skipped: the disk has no sparse files");

        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long fastest = Long.MAX_VALUE;
        long allocated = Long.MAX_VALUE;
        for (int attempt = 0; attempt < 3; attempt++) {
            long bytesBefore = threads.getCurrentThreadAllocatedBytes();
            long start = System.nanoTime();
            try (Checkpoint checkpoint = Checkpoint.open(directory)) {
                fastest = Math.min(fastest, System.nanoTime() - start);
                allocated = Math.min(allocated, threads.getCurrentThreadAllocatedBytes() - bytesBefore);
                assertThat(checkpoint.totalBytes()).isEqualTo(total);
                HostTensor last = checkpoint.get("layers.31.8", EXTENT, 1024);
                assertThat(last.floatAt(EXTENT * 1024 - 1)).isEqualTo(1.5f);
                assertThat(last.floatAt(0)).isZero();
            }
        }
        assertThat(fastest).as("nanoseconds to open").isLessThan(1_000_000_000L);
        assertThat(allocated).as("bytes allocated to open").isLessThan(4L << 20);
    }

    private static String header(long tensorBytes) {
        StringJoiner entries = new StringJoiner(",", "{", "}");
        for (int layer = 0; layer < LAYERS; layer++) {
            for (int tensor = 0; tensor < TENSORS_PER_LAYER; tensor++) {
                long begin = tensorBytes * (layer * TENSORS_PER_LAYER + tensor);
                entries.add(CheckpointFiles.entry(
                        "layers." + layer + "." + tensor, "BF16", "[" + EXTENT + ",1024]", begin, begin + tensorBytes));
            }
        }
        return entries.toString();
    }
}
