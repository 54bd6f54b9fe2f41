package org.duoattention.core.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.IntSupplier;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.Test;

/** The highest logits, as a device selects them, give the tokens that all logits give. */
class HighestLogitsTest {
    private static final BitSet NONE_SEEN = new BitSet();

    /** Draws from all rows in turn, of all logits and of the highest. */
    private static void check(Sampling sampling, float[][] rows, ComputeStream stream, Device device, Arena arena) {
        int vocabulary = rows[0].length;
        Sampler all = new Sampler(sampling);
        Sampler some = new Sampler(sampling);
        int k = some.highest(vocabulary);
        MemorySegment ids = arena.allocate(ValueLayout.JAVA_INT, (long) rows.length * k);
        MemorySegment highest = arena.allocate(ValueLayout.JAVA_FLOAT, (long) rows.length * k);
        try (Tensor x = device.allocate(TensorSpec.of(DType.F32, rows.length, vocabulary))) {
            for (int row = 0; row < rows.length; row++) {
                stream.upload(arena.allocateFrom(ValueLayout.JAVA_FLOAT, rows[row]), x.rows(row, 1));
            }
            stream.topK(x, k, ids, highest);
            stream.synchronize();
        }
        for (int row = 0; row < rows.length; row++) {
            int[] someIds = ids.asSlice(4L * row * k, 4L * k).toArray(ValueLayout.JAVA_INT);
            float[] someLogits = highest.asSlice(4L * row * k, 4L * k).toArray(ValueLayout.JAVA_FLOAT);
            float[] logits = rows[row];
            String what = sampling + ", row " + row + " of " + vocabulary;
            assertThat(answer(() -> some.next(someIds, someLogits)))
                    .as(what)
                    .isEqualTo(answer(() -> all.next(logits, NONE_SEEN)));
        }
    }

    /** A token, or why there is none. */
    private static String answer(IntSupplier token) {
        try {
            return Integer.toString(token.getAsInt());
        } catch (DuoException e) {
            assertThat(e).hasMessageContaining("not numbers (NaN for token ");
            return e.getMessage();
        }
    }

    @Test
    void giveTheSameTokens() {
        Random cases = new Random(11);
        try (Device device = new OpaqueBackend().open(Map.of());
                ComputeStream stream = device.openStream()) {
            for (int round = 0; round < 600; round++) {
                Sampling sampling = round % 5 == 0
                        ? Sampling.greedy()
                        : new Sampling(
                                List.of(1e-3, 0.7, 1.0, 3.0).get(cases.nextInt(4)),
                                List.of(1, 2, 3, 40, 1024).get(cases.nextInt(5)),
                                List.of(1.0, 0.95, 0.5, 1e-6).get(cases.nextInt(4)),
                                List.of(0.0, 0.05, 1.0).get(cases.nextInt(3)),
                                1,
                                round);
                int vocabulary = 1 + cases.nextInt(round % 10 == 0 ? 2000 : 80);
                // Few different values, so that there are ties; zeros of both signs, infinities and NaN among them.
                int values = 1 + cases.nextInt(300);
                boolean infinite = cases.nextInt(8) == 0;
                boolean nan = cases.nextInt(8) == 0;
                float[][] rows = new float[10][vocabulary];
                for (float[] row : rows) {
                    for (int i = 0; i < vocabulary; i++) {
                        row[i] = (cases.nextInt(values) - values / 2) / 8f * (cases.nextBoolean() ? 1 : -1);
                        if (infinite && cases.nextInt(20) == 0) {
                            row[i] = cases.nextInt(5) == 0 ? Float.POSITIVE_INFINITY : Float.NEGATIVE_INFINITY;
                        }
                        if (nan && cases.nextInt(200) == 0) {
                            row[i] = Float.NaN;
                        }
                    }
                }
                try (Arena arena = Arena.ofConfined()) {
                    check(sampling, rows, stream, device, arena);
                }
            }
        }
    }

    @Test
    void areAsManyAsTheSamplingDependsOn() {
        assertThat(new Sampler(Sampling.greedy()).highest(5000)).isEqualTo(1);
        Sampling sampling = Sampling.temperature(1, 0);
        assertThat(new Sampler(sampling).highest(5000)).isZero();
        assertThat(new Sampler(sampling.withTopP(0.9)).highest(5000)).isZero();
        assertThat(new Sampler(sampling.withMinP(0.1)).highest(5000)).isZero();
        assertThat(new Sampler(sampling.withTopK(40).withTopP(0.9).withMinP(0.1)).highest(5000))
                .isEqualTo(40);
        assertThat(new Sampler(sampling.withTopK(40)).highest(30)).isEqualTo(30);
        assertThat(new Sampler(sampling.withTopK(40).withRepetitionPenalty(1.1)).highest(5000))
                .isZero();
        assertThat(new Sampler(Sampling.greedy().withRepetitionPenalty(1.1)).highest(5000))
                .isZero();
    }

    @Test
    void areNotTakenWhereAllLogitsCount() {
        Sampler sampler = new Sampler(Sampling.greedy().withRepetitionPenalty(1.1));
        assertThatThrownBy(() -> sampler.next(new int[] {7}, new float[] {1}))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void drawsTakeNoHeap() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        int[] ids = new int[40];
        float[] logits = new float[40];
        for (int i = 0; i < 40; i++) {
            ids[i] = 1000 * i;
            logits[i] = 10 - i / 4f;
        }
        Sampler sampler = new Sampler(new Sampling(1, 40, 0.9, 0.01, 1, 0));
        for (int attempt = 0; ; attempt++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 1000; i++) {
                sampler.next(ids, logits);
            }
            long bytes = threads.getCurrentThreadAllocatedBytes() - before;
            // The first rounds take an array, and what the measurement itself needs the first time.
            if (bytes < 1000 || attempt == 10) {
                assertThat(bytes).as("bytes of 1000 draws").isLessThan(1000);
                return;
            }
        }
    }
}
