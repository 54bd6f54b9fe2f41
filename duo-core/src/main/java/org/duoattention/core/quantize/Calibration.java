package org.duoattention.core.quantize;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.function.IntConsumer;
import org.duoattention.api.backend.Device;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.DecoderWeights.Layer;
import org.duoattention.core.model.LayerPass;
import org.duoattention.core.model.LayerPass.Input;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.quant.weight.Floats;
import org.duoattention.quant.weight.QuantizedRows;
import org.duoattention.quant.weight.WeightQuantizer;

/**
 * Goes through a model with a text, input by input, and decides how the weights that meet the input are quantised; what
 * comes after sees the quantised layers before it. A text is read in windows of {@value #WINDOW} tokens, on its own each.
 */
final class Calibration {
    /** Tokens of a window. */
    static final int WINDOW = 512;

    private final LayerPass pass;
    private final int[] ids;
    private final int window;
    private final long rowBytes;
    /** Hidden states before the layer, {@code [tokens, hidden]}, in the original model. */
    private final MemorySegment original;
    /** The same with quantised layers before. */
    private final MemorySegment quantized;

    private Calibration(LayerPass pass, ModelConfig config, int[] ids, Arena arena) {
        this.pass = pass;
        this.ids = ids;
        this.window = pass.maxTokens();
        this.rowBytes = (long) Float.BYTES * config.shape().hiddenSize();
        this.original = arena.allocate(rowBytes * ids.length, Float.BYTES);
        this.quantized = arena.allocate(rowBytes * ids.length, Float.BYTES);
    }

    /** Steps that {@link #run} tells. */
    static long steps(ModelConfig config, int tokens) {
        return (long) config.shape().layers() * Input.values().length * tokens;
    }

    /**
     * Decides for all layers.
     *
     * @param device runs the model; stays open
     * @param ids tokens of a text like those that the model will read
     * @param progress told the steps that were done since it was told last
     * @throws IllegalArgumentException when a number cannot be quantised; the message is the end of a sentence
     * @throws InterruptedException when the thread is interrupted
     */
    static Rescaling run(
            Device device,
            ModelConfig config,
            WeightSource source,
            QuantizationSettings settings,
            int[] ids,
            IntConsumer progress)
            throws InterruptedException {
        MatrixFormat format = settings.linears();
        try (WeightQuantizer quantizer = new WeightQuantizer(settings.threads());
                DecoderWeights weights = new DecoderWeights(device, source, config);
                LayerPass pass = new LayerPass(device, config, Math.min(WINDOW, ids.length));
                Arena arena = Arena.ofShared()) {
            Calibration calibration = new Calibration(pass, config, ids, arena);
            ActivationAwareScaling scaling = new ActivationAwareScaling(source, config, format, quantizer);
            calibration.embed(weights);
            if (settings.embedding().isPresent()) {
                calibration.quantizeEmbeddings(source, settings.embedding().get(), quantizer);
            }
            for (int i = 0; i < weights.layers().size(); i++) {
                Layer layer = weights.layers().get(i);
                try (QuantizedLayer changed = new QuantizedLayer(device, layer)) {
                    for (Input input : Input.values()) {
                        LinearInputs inputs = calibration.read(config, layer, changed.layer(), input, progress);
                        scaling.search(i, input, inputs);
                        changed.quantize(i, input, source, format, quantizer, scaling.found());
                    }
                    calibration.advance(layer, changed.layer());
                }
            }
            return scaling.found();
        }
    }

    private MemorySegment rows(MemorySegment states, int begin, int end) {
        return states.asSlice(begin * rowBytes, (end - begin) * rowBytes);
    }

    private void embed(DecoderWeights weights) {
        for (int begin = 0; begin < ids.length; begin += window) {
            int end = Math.min(ids.length, begin + window);
            pass.embed(weights.embedding(), Arrays.copyOfRange(ids, begin, end), rows(original, begin, end));
        }
        quantized.copyFrom(original);
    }

    /** Every row is rounded on its own, so that those of the text suffice. */
    private void quantizeEmbeddings(WeightSource source, MatrixFormat format, WeightQuantizer quantizer)
            throws InterruptedException {
        HostTensor table = source.find(QuantizationPlan.EMBEDDING + ".weight").orElseThrow();
        int width = Math.toIntExact(table.spec().extent(1));
        float[] values = new float[Math.multiplyExact(window, width)];
        float[] row = new float[width];
        for (int begin = 0; begin < ids.length; begin += window) {
            int count = Math.min(ids.length - begin, window);
            for (int i = 0; i < count; i++) {
                Floats.read(table, (long) ids[begin + i] * width, row, width);
                System.arraycopy(row, 0, values, i * width, width);
            }
            QuantizedRows rows = quantizer.quantize(format.forRows(width), values, count, width, null);
            for (int i = 0; i < count; i++) {
                rows.dequantize(i, row);
                MemorySegment.copy(row, 0, quantized, ValueLayout.JAVA_FLOAT, (begin + i) * rowBytes, width);
            }
        }
    }

    private LinearInputs read(ModelConfig config, Layer layer, Layer changed, Input input, IntConsumer progress)
            throws InterruptedException {
        LinearInputs inputs = new LinearInputs(config, width(config, input), ids.length);
        for (int begin = 0; begin < ids.length; begin += window) {
            if (Thread.interrupted()) {
                throw new InterruptedException("during calibration");
            }
            int end = Math.min(ids.length, begin + window);
            inputs.add(
                    pass.input(changed, rows(quantized, begin, end), end - begin, input),
                    pass.input(layer, rows(original, begin, end), end - begin, input));
            progress.accept(end - begin);
        }
        return inputs;
    }

    private static int width(ModelConfig config, Input input) {
        return switch (input) {
            case ATTENTION, FEED_FORWARD -> config.shape().hiddenSize();
            case ATTENTION_OUTPUT -> config.shape().queryWidth();
            case FEED_FORWARD_OUTPUT -> config.shape().intermediateSize();
        };
    }

    private void advance(Layer layer, Layer changed) {
        for (int begin = 0; begin < ids.length; begin += window) {
            int end = Math.min(ids.length, begin + window);
            pass.run(layer, rows(original, begin, end), end - begin);
            pass.run(changed, rows(quantized, begin, end), end - begin);
        }
    }
}
