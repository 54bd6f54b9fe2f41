package org.duoattention.backend.cpu.vector;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.SlotRuns;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.duoattention.backend.cpu.scalar.ScalarKernels;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Decode attention over quantised caches against the scalar kernels: lengths that leave the last block of 64 slots, or its last panel,
 * half empty, beside caches in one piece and rings.
 */
class QuantizedAttentionTest {
    private static final int ROUNDS = 60;

    private final Arena arena = Arena.ofShared();
    private final Workspace workspace = new Workspace();
    private final Random random = new Random(5);
    private final CpuKernels vector = new VectorKernels(true);
    private final CpuKernels scalar = new ScalarKernels();

    @AfterEach
    void close() {
        workspace.close();
        arena.close();
    }

    @ParameterizedTest
    @CsvSource({
        "8,32,32",
        "8,64,64",
        "8,96,32",
        "8,128,128",
        "8,128,64",
        "4,32,32",
        "4,64,64",
        "4,96,32",
        "4,128,128",
        "4,256,64"
    })
    void decode(int bits, int dim, int groupSize) {
        BlockFormat.Grouped format = new BlockFormat.Grouped(bits, groupSize, true, DType.F16);
        int[] groups = {1, 2, 3, 4, 7, 8};
        for (int round = 0; round < ROUNDS; round++) {
            decode(format, dim, groups[round % groups.length]);
        }
    }

    private void decode(BlockFormat.Grouped format, int dim, int group) {
        int count = 1 + random.nextInt(400);
        int sinks = random.nextInt(Math.min(20, count));
        int rotation = random.nextInt(count - sinks + 1);
        SlotRuns runs = random.nextBoolean()
                ? SlotRuns.upTo(count)
                : new SlotRuns(0, sinks, sinks + rotation, count - rotation, sinks, count);
        KvHead head = head(vector, format, dim, count);
        KvHead reference = head(scalar, format, dim, count);
        Matrix k = gaussians(count, dim);
        Matrix v = gaussians(count, dim);
        for (int ordinal = 0; ordinal < count; ordinal++) {
            vector.layout().store(k, v, 0, ordinal, 1, head, runs.slot(ordinal), workspace);
            scalar.layout().store(k, v, 0, ordinal, 1, reference, runs.slot(ordinal), workspace);
        }
        Matrix q = gaussians(1, group * dim);
        Matrix actual = gaussians(1, group * dim);
        Matrix expected = gaussians(1, group * dim);
        float scale = (float) (1 / Math.sqrt(dim));
        attend(vector, head, runs, sinks, count, q, group, scale, actual);
        attend(scalar, reference, runs, sinks, count, q, group, scale, expected);
        for (int i = 0; i < group * dim; i++) {
            float a = actual.segment().get(ValueLayout.JAVA_FLOAT, actual.at(0, i));
            float e = expected.segment().get(ValueLayout.JAVA_FLOAT, expected.at(0, i));
            assertThat(Math.abs(a - e))
                    .as("%s, headDim %d, group %d, %d slots, element %d", format, dim, group, count, i)
                    .isLessThanOrEqualTo(2e-5f);
        }
    }

    private void attend(
            CpuKernels kernels,
            KvHead head,
            SlotRuns runs,
            int sinks,
            int count,
            Matrix q,
            int group,
            float scale,
            Matrix out) {
        AttentionTask task =
                new AttentionTask(head, runs, sinks, AttentionTask.NO_WINDOW, count, q, 0, group, scale, out);
        kernels.attend(task, 0, 1, 0, count, null, workspace);
    }

    private KvHead head(CpuKernels kernels, BlockFormat format, int dim, long slots) {
        long keys = kernels.layout().keyBytes(format, dim, slots) + 63 & -64;
        MemorySegment memory = arena.allocate(keys + kernels.layout().valueBytes(format, dim, slots), 64);
        return new KvHead(memory, 0, keys, format, dim, slots);
    }

    private Matrix gaussians(long rows, int columns) {
        MemorySegment memory = arena.allocate(4 * rows * columns, 64);
        for (long i = 0; i < rows * columns; i++) {
            memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        return new Matrix(memory, 0, DType.F32, rows, columns);
    }
}
