package org.duoattention.core.load.gguf;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.OptionalLong;
import java.util.function.LongUnaryOperator;
import java.util.stream.IntStream;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * Decodes a whole matrix, row by row on all cores.
 *
 * @param stored the tensor; two dimensions
 * @param decoder for its type
 * @param order where in the file the row lies that becomes row i
 */
record QuantizedRows(StoredGgufTensor stored, BlockDecoder decoder, LongUnaryOperator order) {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort F16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    /** Rows that one task decodes with the same buffers. */
    private static final int TASK = 64;

    /**
     * The matrix.
     *
     * @param arena what it is allocated in; shared, since several threads write
     * @throws DuoException when a scale is not finite
     */
    QuantizedMatrix decode(Arena arena) {
        long[] shape = stored.info().shape();
        long rows = shape[0];
        int columns = columns(shape[1]);
        QuantizedSpec spec = new QuantizedSpec(decoder.format(), rows, columns);
        QuantizedMatrix matrix = new QuantizedMatrix(
                spec,
                arena.allocate(spec.codeBytes(), 64),
                arena.allocate(spec.scaleBytes(), 64),
                arena.allocate(spec.offsetBytes(), 64));
        OptionalLong bad = IntStream.range(0, Math.toIntExact(Math.ceilDiv(rows, TASK)))
                .parallel()
                .mapToLong(task -> decodeTask((long) task * TASK, columns, matrix))
                .filter(row -> row >= 0)
                .min();
        if (bad.isPresent()) {
            throw new DuoException(
                    stored.file() + ": tensor " + Quoted.of(stored.info().name()) + " ("
                            + stored.info().type() + ") has a scale in row " + bad.getAsLong()
                            + " that is not a finite number; the file is damaged, download it again");
        }
        return matrix;
    }

    /** Decodes the rows of one task; returns a row whose scales are not finite, or -1. */
    private long decodeTask(long first, int columns, QuantizedMatrix matrix) {
        long rows = matrix.spec().rows();
        DecodedRow row = new DecodedRow(decoder.format(), columns);
        byte[] blocks = new byte[Math.toIntExact(stored.info().bytes() / rows)];
        for (long i = first; i < Math.min(rows, first + TASK); i++) {
            long from = order.applyAsLong(i);
            decode(from, blocks, row);
            if (!row.isFinite()) {
                return from;
            }
            copy(row, i, matrix);
        }
        return -1;
    }

    /** A row passes through arrays, which no real model exceeds. */
    private int columns(long columns) {
        if (columns > 1 << 28) {
            throw new DuoException(
                    stored.file() + ": tensor " + Quoted.of(stored.info().name()) + " has rows of " + columns
                            + " elements, at most " + (1 << 28) + " are supported");
        }
        return (int) columns;
    }

    private void decode(long from, byte[] blocks, DecodedRow row) {
        MemorySegment.copy(stored.data(), ValueLayout.JAVA_BYTE, from * blocks.length, blocks, 0, blocks.length);
        GgufType type = stored.info().type();
        for (int at = 0, element = 0; at < blocks.length; at += type.blockBytes(), element += type.blockElements()) {
            decoder.decode(blocks, at, row, element);
        }
    }

    private static void copy(DecodedRow row, long to, QuantizedMatrix matrix) {
        byte[] codes = row.codes();
        MemorySegment.copy(codes, 0, matrix.codes(), ValueLayout.JAVA_BYTE, to * codes.length, codes.length);
        copyNumbers(row.scales(), matrix.spec().format().scaleType(), matrix.scales(), to);
        copyNumbers(row.offsets(), matrix.spec().format().scaleType(), matrix.offsets(), to);
    }

    private static void copyNumbers(float[] numbers, DType type, MemorySegment target, long row) {
        if (type == DType.F32) {
            MemorySegment.copy(numbers, 0, target, F32, row * numbers.length * 4, numbers.length);
            return;
        }
        for (int i = 0; i < numbers.length; i++) {
            // Exact: they were halves in the file.
            target.set(F16, (row * numbers.length + i) * 2, Float.floatToFloat16(numbers[i]));
        }
    }
}
