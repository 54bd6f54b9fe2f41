package org.duoattention.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Gradients.LinearOutput;
import org.duoattention.api.backend.Gradients.Streaming;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.Test;

/** Backward operations are cut by shapes, so that their results are the same bits for any number of threads. */
class GradientThreadsTest {
    private static final int TOKENS = 1100;

    @Test
    void resultsDoNotDependOnTheNumberOfThreads() {
        assumeTrue(
                Runtime.getRuntime().availableProcessors() > 1, "skipped: one processor has no second thread to offer");
        List<float[]> expected = results("1");
        // In turn, because code that is compiled meanwhile must not make a difference either.
        for (String threads : new String[] {"2", "1", "2"}) {
            List<float[]> actual = results(threads);
            for (int i = 0; i < expected.size(); i++) {
                assertThat(Arrays.mismatch(actual.get(i), expected.get(i)))
                        .as("first difference in result %d, %s threads", i, threads)
                        .isEqualTo(-1);
            }
        }
    }

    private static List<float[]> results(String threads) {
        try (Arena arena = Arena.ofShared();
                Device device = new CpuVectorBackend().open(Map.of("threads", threads))) {
            ComputeStream stream = device.openStream();
            Gradients gradients = stream.gradients();
            SplittableRandom random = new SplittableRandom(5);
            Tensor q = rows(device, stream, random, TOKENS, 128);
            Tensor k = rows(device, stream, random, TOKENS, 64);
            Tensor v = rows(device, stream, random, TOKENS, 64);
            Tensor weight = rows(device, stream, random, 128, 64);
            Tensor norm = device.allocate(TensorSpec.of(DType.F32, 64));
            stream.upload(numbers(random, 64), norm);
            Tensor out = rows(device, stream, random, TOKENS, 128);
            Tensor toQ = rows(device, stream, random, TOKENS, 128);
            Tensor toK = rows(device, stream, random, TOKENS, 64);
            Tensor toV = rows(device, stream, random, TOKENS, 64);
            Tensor input = rows(device, stream, random, TOKENS, 64);
            Tensor streaming = rows(device, stream, random, TOKENS, 128);
            Tensor sums = rows(device, stream, random, 1, 4);
            Streaming window = new Streaming(16, 20, 50, 0.25f);
            gradients.attend(q, k, v, window, out);
            gradients.attendBackward(q, k, v, window, out, toQ, toK, toV);
            gradients.linears(List.of(new LinearOutput(toQ, weight)), input);
            gradients.blendBackward(q, out, new float[] {0, 0.25f, 0.5f, 1}, toQ, streaming, sums);
            gradients.rmsNorm(k, norm, 1e-5f, input, input);
            List<float[]> results = new ArrayList<>();
            for (Tensor tensor : List.of(out, toQ, toK, toV, input, streaming, sums)) {
                MemorySegment host = arena.allocate(tensor.spec().byteSize(), 4);
                stream.download(tensor, host);
                stream.synchronize();
                results.add(host.toArray(ValueLayout.JAVA_FLOAT));
            }
            return results;
        }
    }

    private static Tensor rows(Device device, ComputeStream stream, SplittableRandom random, long tokens, long width) {
        Tensor tensor = device.allocate(TensorSpec.of(DType.F32, tokens, width));
        stream.upload(numbers(random, (int) (tokens * width)), tensor);
        return tensor;
    }

    private static MemorySegment numbers(SplittableRandom random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (2 * random.nextDouble() - 1);
        }
        return MemorySegment.ofArray(values);
    }
}
