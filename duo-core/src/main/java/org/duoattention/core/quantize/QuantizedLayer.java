package org.duoattention.core.quantize;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.DecoderWeights.Layer;
import org.duoattention.core.model.DecoderWeights.Linear;
import org.duoattention.core.model.LayerPass;
import org.duoattention.quant.weight.WeightQuantizer;

/**
 * A decoder layer on a device whose matrices are replaced, one input after the other, by what they are once they are
 * quantised, in F32. Factors are taken back, so that norms and the rows of other matrices stay as they are.
 *
 * <p>Owns the replaced tensors.
 */
final class QuantizedLayer implements AutoCloseable {
    private final Device device;
    private final Layer original;
    private final Arena arena = Arena.ofShared();
    private final List<Tensor> owned = new ArrayList<>();
    /** q, k, v, o, gate, up, down. */
    private final List<Linear> linears;

    /** The layer as it is in the original model. */
    QuantizedLayer(Device device, Layer original) {
        this.device = device;
        this.original = original;
        this.linears = new ArrayList<>(List.of(
                original.q(),
                original.k(),
                original.v(),
                original.o(),
                original.gate(),
                original.up(),
                original.down()));
    }

    /** The layer as it is now; valid until this is closed. */
    Layer layer() {
        return new Layer(
                original.inputNorm(),
                linears.get(0),
                linears.get(1),
                linears.get(2),
                original.qNorm(),
                original.kNorm(),
                linears.get(3),
                original.postAttentionNorm(),
                linears.get(4),
                linears.get(5),
                linears.get(6));
    }

    /**
     * Replaces the matrices that share an input.
     *
     * @throws InterruptedException when the thread is interrupted
     */
    void quantize(
            int index,
            LayerPass.Input input,
            WeightSource source,
            MatrixFormat format,
            WeightQuantizer quantizer,
            Rescaling rescaling)
            throws InterruptedException {
        int at = switch (input) {
            case ATTENTION -> 0;
            case ATTENTION_OUTPUT -> 3;
            case FEED_FORWARD -> 4;
            case FEED_FORWARD_OUTPUT -> 6;
        };
        for (String module : ActivationAwareScaling.modules(index, input)) {
            Tensor weight = quantized(module + ".weight", source, format, quantizer, rescaling);
            linears.set(at, new Linear(weight, linears.get(at).bias()));
            at++;
        }
    }

    private Tensor quantized(
            String name, WeightSource source, MatrixFormat format, WeightQuantizer quantizer, Rescaling rescaling)
            throws InterruptedException {
        HostTensor tensor = source.find(name).orElseThrow();
        int columns = Math.toIntExact(tensor.spec().extent(1));
        long rowBytes = (long) Float.BYTES * columns;
        MemorySegment data = arena.allocate(rowBytes * tensor.spec().rows(), Float.BYTES);
        float[] row = new float[columns];
        MatrixPieces.<RuntimeException>quantize(
                name, tensor, format.forRows(columns), 1, quantizer, rescaling, (rows, first) -> {
                    for (int i = 0; i < rows.rows(); i++) {
                        rows.dequantize(i, row);
                        rescaling.undoFactors(name, row, first + i, 1, columns);
                        MemorySegment.copy(row, 0, data, ValueLayout.JAVA_FLOAT, (first + i) * rowBytes, columns);
                    }
                });
        Tensor adopted = device.adopt(
                new HostTensor(new TensorSpec(DType.F32, tensor.spec().shape()), data));
        owned.add(adopted);
        return adopted;
    }

    @Override
    public void close() {
        owned.forEach(Tensor::close);
        arena.close();
    }
}
