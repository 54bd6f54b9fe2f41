package org.duoattention.quant.weight;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.jspecify.annotations.Nullable;

/**
 * Quantises rows of a weight matrix, group by group, with the range and the scale of every group chosen for the least
 * squared error (see {@link GroupQuantizer}). Rows do not depend on each other, so a large matrix may be quantised in
 * pieces of bounded size with the same result.
 *
 * <p>Owns its threads; one caller at a time.
 */
public final class WeightQuantizer implements AutoCloseable {
    private final ExecutorService workers;
    private final int threads;
    /** Those of the last call: layers that share an input, and pieces of a matrix, follow each other. */
    private @Nullable InputMoments lastInputs;

    private @Nullable Knowledge lastKnown;

    /** A quantiser with that many threads. */
    public WeightQuantizer(int threads) {
        this.threads = threads;
        this.workers = Executors.newFixedThreadPool(
                threads, Thread.ofPlatform().name("duo-quantize-", 0).daemon().factory());
    }

    /**
     * Quantises rows.
     *
     * @param format bits, group and symmetry, with F16 scales; the group divides {@code columns}
     * @param values finite numbers, {@code rows * columns}, row after row; not changed
     * @param inputs moments of the inputs that the rows will be multiplied with: errors are weighted by their squares,
     *     each weight makes up for the rounding of those before it in its block of channels (GPTQ, arXiv 2210.17323, within
     *     blocks), and the result is improved by coordinate descent (QuantEase, arXiv 2309.01885); {@code null} for
     *     round to nearest
     * @throws IllegalArgumentException when the group does not divide the row, or a number is not finite or too large for a
     *     binary16 scale; the message is the end of a sentence that starts with the tensor's name
     * @throws InterruptedException when the thread is interrupted while it waits
     */
    public QuantizedRows quantize(
            BlockFormat.Grouped format, float[] values, int rows, int columns, @Nullable InputMoments inputs)
            throws InterruptedException {
        return quantize(format, values, rows, columns, inputs, true);
    }

    /**
     * The same without the coordinate descent at the end, in a fraction of the time: to compare choices.
     *
     * @throws IllegalArgumentException as {@link #quantize} does
     * @throws InterruptedException when the thread is interrupted while it waits
     */
    public QuantizedRows draft(BlockFormat.Grouped format, float[] values, int rows, int columns, InputMoments inputs)
            throws InterruptedException {
        return quantize(format, values, rows, columns, inputs, false);
    }

    private QuantizedRows quantize(
            BlockFormat.Grouped format,
            float[] values,
            int rows,
            int columns,
            @Nullable InputMoments inputs,
            boolean refined)
            throws InterruptedException {
        if (format.scaleType() != DType.F16) {
            throw new IllegalArgumentException("weights are quantised with F16 scales, not as " + format);
        }
        if (columns % format.group() != 0) {
            throw new IllegalArgumentException(
                    "has rows of " + columns + ", which groups of " + format.group() + " do not divide");
        }
        int groups = columns / format.group();
        QuantizedRows result = new QuantizedRows(
                format,
                rows,
                columns,
                new byte[Math.toIntExact((long) rows * columns * format.bits() / 8)],
                new short[rows * groups],
                new byte[rows * groups]);
        @Nullable Knowledge known = knowledge(inputs);
        List<Future<?>> parts = new ArrayList<>();
        for (int part = 0; part < threads; part++) {
            int begin = (int) ((long) rows * part / threads);
            int end = (int) ((long) rows * (part + 1) / threads);
            if (begin < end) {
                parts.add(workers.submit(() -> fill(result, values, known, refined, begin, end)));
            }
        }
        try {
            for (Future<?> part : parts) {
                part.get();
            }
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IllegalArgumentException problem) {
                throw problem;
            }
            throw new IllegalStateException(e.getCause());
        } finally {
            parts.forEach(part -> part.cancel(true));
        }
        return result;
    }

    private @Nullable Knowledge knowledge(@Nullable InputMoments inputs) {
        if (inputs != lastInputs) {
            lastKnown = inputs == null ? null : Knowledge.of(inputs);
            lastInputs = inputs;
        }
        return lastKnown;
    }

    /**
     * What is known of the inputs, in the forms that are used.
     *
     * @param block channels of a block
     * @param importance of the squared error of each channel
     * @param factors of the inverse of every block of moments
     * @param moments the blocks
     */
    @SuppressWarnings("ArrayRecordComponent") // Read by worker threads, never compared.
    private record Knowledge(int block, float[] importance, float[][] factors, float[][] moments) {
        static Knowledge of(InputMoments inputs) {
            // Sums of squares may be large; only their ratios count.
            double largest = Double.MIN_NORMAL;
            for (int i = 0; i < inputs.width(); i++) {
                largest = Math.max(largest, inputs.square(i));
            }
            float[] importance = new float[inputs.width()];
            for (int i = 0; i < importance.length; i++) {
                importance[i] = (float) (inputs.square(i) / largest);
            }
            return new Knowledge(inputs.block(), importance, inputs.factors(), inputs.damped());
        }
    }

    private static void fill(
            QuantizedRows result, float[] values, @Nullable Knowledge known, boolean refined, int begin, int end) {
        BlockFormat.Grouped format = result.format();
        int group = format.group();
        int columns = result.columns();
        GroupQuantizer quantizer = new GroupQuantizer(format);
        @Nullable
        RowRefinement refinement = known == null || !refined
                ? null
                : new RowRefinement(known.moments(), known.block(), columns, group, format.largestCode());
        float[] rest = new float[columns];
        int[] codes = new int[columns];
        float[] scales = new float[columns / group];
        int[] zeros = new int[columns / group];
        for (int row = begin; row < end; row++) {
            System.arraycopy(values, row * columns, rest, 0, columns);
            for (int column = 0; column < columns; column++) {
                if (column % group == 0) {
                    quantizer.fit(rest, column, group, known == null ? null : known.importance(), column);
                    scales[column / group] = quantizer.scale();
                    zeros[column / group] = quantizer.zero();
                }
                codes[column] = quantizer.code(rest[column]);
                if (known != null) {
                    float error = rest[column] - (codes[column] - quantizer.zero()) * quantizer.scale();
                    makeUp(rest, column, error, known.factors()[column / known.block()], known.block());
                }
            }
            if (refinement != null) {
                refinement.refine(values, row * columns, codes, scales, zeros);
            }
            store(result, row, codes, scales, zeros);
        }
    }

    private static void store(QuantizedRows result, int row, int[] codes, float[] scales, int[] zeros) {
        for (int group = 0; group < scales.length; group++) {
            result.scales()[row * scales.length + group] = Float.floatToFloat16(scales[group]);
            result.zeros()[row * scales.length + group] = (byte) zeros[group];
        }
        for (int column = 0; column < codes.length; column++) {
            int at = row * codes.length + column;
            if (result.format().bits() == 8) {
                result.codes()[at] = (byte) codes[column];
            } else if (column % 2 == 0) {
                result.codes()[at / 2] = (byte) codes[column];
            } else {
                result.codes()[at / 2] |= (byte) (codes[column] << 4);
            }
        }
    }

    /** Changes the weights after a column of its block such that the output changes least for an error in the column. */
    private static void makeUp(float[] rest, int column, float error, float[] upper, int block) {
        int first = column / block * block;
        int size = Math.min(block, rest.length - first);
        int at = (column - first) * size;
        float factor = error / upper[at + column - first];
        for (int i = column - first + 1; i < size; i++) {
            rest[first + i] -= factor * upper[at + i];
        }
    }

    /** Ends the threads. */
    @Override
    public void close() {
        workers.shutdownNow();
    }
}
