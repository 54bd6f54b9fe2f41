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
     * @param importance weight of the squared error of each column, {@code columns} numbers that are not negative; {@code
     *     null} for equal ones
     * @throws IllegalArgumentException when the group does not divide the row, or a number is not finite or too large for a
     *     binary16 scale; the message is the end of a sentence that starts with the tensor's name
     * @throws InterruptedException when the thread is interrupted while it waits
     */
    public QuantizedRows quantize(
            BlockFormat.Grouped format, float[] values, int rows, int columns, float @Nullable [] importance)
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
        List<Future<?>> parts = new ArrayList<>();
        for (int part = 0; part < threads; part++) {
            int begin = (int) ((long) rows * part / threads);
            int end = (int) ((long) rows * (part + 1) / threads);
            if (begin < end) {
                parts.add(workers.submit(() -> fill(result, values, importance, begin, end)));
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

    private static void fill(QuantizedRows result, float[] values, float @Nullable [] importance, int begin, int end) {
        BlockFormat.Grouped format = result.format();
        int group = format.group();
        GroupQuantizer quantizer = new GroupQuantizer(format);
        for (int row = begin; row < end; row++) {
            for (int column = 0; column < result.columns(); column += group) {
                int from = row * result.columns() + column;
                quantizer.fit(values, from, group, importance, column);
                int index = from / group;
                result.scales()[index] = Float.floatToFloat16(quantizer.scale());
                result.zeros()[index] = (byte) quantizer.zero();
                if (format.bits() == 8) {
                    for (int i = from; i < from + group; i++) {
                        result.codes()[i] = (byte) quantizer.code(values[i]);
                    }
                } else {
                    for (int i = from; i < from + group; i += 2) {
                        int low = quantizer.code(values[i]);
                        result.codes()[i / 2] = (byte) (low | quantizer.code(values[i + 1]) << 4);
                    }
                }
            }
        }
    }

    /** Ends the threads. */
    @Override
    public void close() {
        workers.shutdownNow();
    }
}
