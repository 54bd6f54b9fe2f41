package org.duoattention.examples.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.examples.cli.machine.ReadStream;
import org.duoattention.examples.cli.machine.Team;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Keeps a kernel from losing most of its speed unnoticed. Never a time: on one thread, by processor time, the bytes that a
 * kernel reads per second against those that the same thread reads at all, measured in turn; the median of the ratios. The
 * bounds are generous, because the machine is shared and its memory too.
 */
class KernelRatioTest {
    private static final int ROUNDS = 9;
    private static final long WARM_UP_NANOS = 1_500_000_000L;
    private static final Map<String, String> ONE_THREAD = Map.of("threads", "1");
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    @BeforeEach
    void threadsHaveProcessorTimes() {
        assumeThat(THREADS.isCurrentThreadCpuTimeSupported())
                .as("skipped: this JVM does not tell the processor time of a thread")
                .isTrue();
    }

    @ParameterizedTest(name = "linear layer, one token, {0}: at least {1} of the read stream")
    @CsvSource({"f16, 0.3", "int8, 0.3", "int4, 0.2"})
    void linear(String weights, double bound) {
        BlockFormat format = Rig.weights(weights);
        int out = 8192;
        int in = 2048;
        int count = weights.equals("int4") ? 12 : 6;
        try (Rig rig = Rig.open("cpu", ONE_THREAD)) {
            Tensor x = rig.activations(1, in);
            Tensor y = rig.activations(1, out);
            List<Projection> projections = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                projections.add(new Projection(rig.weight(format, out, in), Optional.empty(), y));
            }
            double bytes = (double) count * out * format.rowBytes(in);
            assertThat(ratio(
                            bytes,
                            () -> projections.forEach(each -> rig.stream().linear(x, each))))
                    .isGreaterThanOrEqualTo(bound);
        }
    }

    @ParameterizedTest(name = "decode attention, {0}: at least {1} of the read stream")
    @CsvSource({"f16, 0.18", "bf16, 0.25", "int8, 0.15", "int4, 0.08"})
    void attention(String kv, double bound) {
        int depth = 32_768;
        int headDim = 64;
        ModelShape shape = new ModelShape(1, 32 * headDim, 32, 8, headDim, headDim, 2);
        BlockFormat format = Rig.cache(kv, headDim);
        try (Rig rig = Rig.open("cpu", ONE_THREAD)) {
            Slab slab = rig.slab(shape, format, depth, 1);
            Tensor q = rig.activations(1, shape.queryWidth());
            Tensor out = rig.activations(1, shape.queryWidth());
            double bytes = 2.0 * depth * shape.kvHeads() * format.rowBytes(headDim);
            assertThat(ratio(bytes, () -> rig.stream().attend(slab, q, 0.125f, PrefillMode.UPSTREAM, out)))
                    .isGreaterThanOrEqualTo(bound);
        }
    }

    /** The median of kernel speed : stream speed, both in bytes per second of this thread's processor time. */
    private static double ratio(double bytes, Runnable kernel) {
        try (Team alone = new Team(1);
                ReadStream stream = new ReadStream(alone)) {
            // Wall time too: on a busy machine the compiler's own threads have to wait for their turn.
            long end = System.nanoTime() + WARM_UP_NANOS;
            long cpuEnd = THREADS.getCurrentThreadCpuTime() + WARM_UP_NANOS;
            while (System.nanoTime() < end || THREADS.getCurrentThreadCpuTime() < cpuEnd) {
                kernel.run();
                stream.read();
            }
            double[] ratios = new double[ROUNDS];
            for (int i = 0; i < ROUNDS; i++) {
                double kernelSpeed = bytes / seconds(kernel);
                double streamSpeed = stream.bytes() / seconds(stream::read);
                ratios[i] = kernelSpeed / streamSpeed;
            }
            Arrays.sort(ratios);
            return ratios[ROUNDS / 2];
        }
    }

    private static double seconds(Runnable body) {
        long start = THREADS.getCurrentThreadCpuTime();
        body.run();
        return (THREADS.getCurrentThreadCpuTime() - start) * 1e-9;
    }
}
