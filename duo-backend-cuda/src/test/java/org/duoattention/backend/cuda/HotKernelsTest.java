package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The kernels that a decode step, a few tokens and a chunk of llama-3-8b launch are among those that may not spill: one layer
 * with its heads, but narrower, on the emulated driver.
 */
class HotKernelsTest {
    /**
     * Four query heads of 128 to a KV head, and two KV heads: one retrieves, one streams. More tokens than one block chooses
     * from.
     */
    private static final ModelShape SHAPE = new ModelShape(1, 64, 8, 2, 128, 64, 2112);

    private static final int CHUNK = 24;
    private static final List<Integer> STEPS = List.of(CHUNK, 1, 3, 6, 1);
    private static final Rope ROPE = new Rope(new double[SHAPE.headDim() / 2], 1);

    @ParameterizedTest
    @CsvSource({"int4, f16", "int4, int8", "int4, int4", "int8, f16", "f16, f16", "bf16, bf16"})
    void areAmongThoseThatMayNotSpill(String weights, String kv) throws IOException {
        try (Device device = new CudaBackend(
                                EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()))
                        .open(Map.of("libraries", "none"));
                Layer layer = new Layer(device, weights, format(kv, SHAPE.headDim()))) {
            long position = 0;
            for (int tokens : STEPS) {
                layer.feed(tokens, position);
                position += tokens;
            }
            assertThat(((CudaDevice) device).kernels().names())
                    .hasSizeGreaterThan(10)
                    .isSubsetOf(hotKernels());
        }
    }

    private static BlockFormat format(String name, int group) {
        return switch (name) {
            case "f16" -> BlockFormat.F16;
            case "bf16" -> new BlockFormat.Dense(DType.BF16);
            default -> new BlockFormat.Grouped(name.equals("int4") ? 4 : 8, group, true, DType.F16);
        };
    }

    private static List<String> hotKernels() throws IOException {
        try (InputStream in = HotKernelsTest.class.getResourceAsStream("kernel/hot-kernels.txt")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
        }
    }

    /** One layer of zeros, and what is before and after it: only what is launched counts. */
    private static final class Layer implements AutoCloseable {
        private final Deque<AutoCloseable> owned = new ArrayDeque<>();
        private final Device device;
        private final Arena arena = own(Arena.ofConfined());
        private final ComputeStream stream;
        private final String weights;
        private final List<Slab> slabs;

        Layer(Device device, String weights, BlockFormat kv) {
            this.device = device;
            this.weights = weights;
            this.stream = own(device.openStream());
            this.slabs = List.of(
                    slab(kv, HeadSet.of(0), new Retention.All()),
                    slab(kv, HeadSet.of(1), new Retention.SinkAndRecent(2, 9)));
        }

        private <T extends AutoCloseable> T own(T resource) {
            owned.push(resource);
            return resource;
        }

        private Slab slab(BlockFormat kv, HeadSet heads, Retention retention) {
            return own(device.allocate(new SlabSpec(SHAPE, 0, heads, kv, retention, 100, CHUNK, 0)));
        }

        private Tensor matrix(int rows, int columns) {
            if (format(weights, 32) instanceof BlockFormat.Grouped asymmetric) {
                QuantizedSpec spec = new QuantizedSpec(
                        new BlockFormat.Grouped(asymmetric.bits(), 32, false, DType.F16), rows, columns);
                return own(device.adopt(new QuantizedMatrix(
                        spec,
                        arena.allocate(spec.codeBytes(), 64),
                        arena.allocate(spec.scaleBytes(), 64),
                        MemorySegment.NULL)));
            }
            return vector(rows, columns);
        }

        private Tensor vector(long... extents) {
            TensorSpec spec = TensorSpec.of(weights.equals("f16") ? DType.F16 : DType.BF16, extents);
            return own(device.adopt(new HostTensor(spec, arena.allocate(spec.byteSize(), 64))));
        }

        private Tensor activations(int tokens, int width) {
            return own(device.allocate(TensorSpec.of(DType.F32, tokens, width)));
        }

        private Projection linear(int outputs, int inputs, Tensor out) {
            return new Projection(matrix(outputs, inputs), Optional.empty(), out);
        }

        void feed(int tokens, long position) {
            int hidden = SHAPE.hiddenSize();
            Tensor residual = activations(tokens, hidden);
            Tensor normed = activations(tokens, hidden);
            Tensor delta = activations(tokens, hidden);
            Tensor q = activations(tokens, SHAPE.queryWidth());
            Tensor k = activations(tokens, SHAPE.kvWidth());
            Tensor v = activations(tokens, SHAPE.kvWidth());
            Tensor attention = activations(tokens, SHAPE.queryWidth());
            Tensor gate = activations(tokens, SHAPE.intermediateSize());
            Tensor up = activations(tokens, SHAPE.intermediateSize());
            Tensor norm = vector(hidden);
            stream.embed(matrix(SHAPE.vocabSize(), hidden), new int[tokens], residual);
            stream.rmsNorm(residual, norm, 1e-5f, normed);
            stream.linears(
                    normed,
                    List.of(
                            linear(SHAPE.queryWidth(), hidden, q),
                            linear(SHAPE.kvWidth(), hidden, k),
                            linear(SHAPE.kvWidth(), hidden, v)));
            stream.rope(q, SHAPE.headDim(), ROPE, position);
            stream.rope(k, SHAPE.headDim(), ROPE, position);
            slabs.forEach(slab -> stream.append(slab, k, v));
            stream.attendAll(slabs, q, 1, PrefillMode.UPSTREAM, attention);
            stream.evict(slabs.getLast());
            stream.linear(attention, linear(hidden, SHAPE.queryWidth(), delta));
            stream.addRmsNorm(residual, delta, norm, 1e-5f, normed);
            stream.linears(
                    normed,
                    List.of(
                            linear(SHAPE.intermediateSize(), hidden, gate),
                            linear(SHAPE.intermediateSize(), hidden, up)));
            stream.swiGlu(gate, up, gate);
            stream.linear(gate, linear(hidden, SHAPE.intermediateSize(), delta));
            stream.add(residual, delta);
            Tensor logits = activations(1, SHAPE.vocabSize());
            stream.linear(normed.rows(tokens - 1, 1), linear(SHAPE.vocabSize(), hidden, logits));
            choose(logits, 1);
            choose(logits, 40);
            stream.synchronize();
        }

        private void choose(Tensor logits, int k) {
            stream.topK(logits, k, arena.allocate(4L * k), arena.allocate(4L * k));
        }

        @Override
        public void close() {
            while (!owned.isEmpty()) {
                try {
                    owned.pop().close();
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            }
        }
    }
}
