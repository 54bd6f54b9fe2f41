package org.duoattention.core.quantize;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.quant.weight.Floats;
import org.duoattention.quant.weight.QuantizedRows;
import org.duoattention.quant.weight.WeightQuantizer;

/** Quantises a matrix of a checkpoint in pieces of rows, so that memory does not grow with it. */
final class MatrixPieces {
    /** Numbers that are quantised at a time. */
    private static final int PIECE = 1 << 22;

    private MatrixPieces() {}

    /** Takes the pieces, in order. */
    interface Sink<E extends Exception> {
        void accept(QuantizedRows rows, long firstRow) throws E;
    }

    /**
     * Quantises all rows.
     *
     * @param name the tensor's, by which the rescaling knows it
     * @param multiple number of rows that every piece but the last is a multiple of
     * @throws IllegalArgumentException see {@link WeightQuantizer#quantize}
     * @throws InterruptedException when the thread is interrupted
     */
    static <E extends Exception> void quantize(
            String name,
            HostTensor tensor,
            BlockFormat.Grouped format,
            int multiple,
            WeightQuantizer quantizer,
            Rescaling rescaling,
            Sink<E> sink)
            throws E, InterruptedException {
        long rows = tensor.spec().rows();
        int columns = Math.toIntExact(tensor.spec().extent(1));
        int piece = (int) Math.min(rows, Math.max(1, PIECE / columns / multiple) * (long) multiple);
        float[] values = new float[Math.multiplyExact(piece, columns)];
        for (long row = 0; row < rows; row += piece) {
            if (Thread.interrupted()) {
                throw new InterruptedException("after row " + row + " of " + name);
            }
            int count = (int) Math.min(piece, rows - row);
            Floats.read(tensor, row * columns, values, count * columns);
            rescaling.apply(name, values, row, count, columns);
            sink.accept(quantizer.quantize(format, values, count, columns, rescaling.inputsOf(name)), row);
        }
    }
}
