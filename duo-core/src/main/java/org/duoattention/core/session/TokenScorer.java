package org.duoattention.core.session;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.model.Decoder;

/**
 * The log-probabilities of tokens that are fed chunk by chunk. The output projection runs over a few rows at a time, so
 * that a long chunk and a large vocabulary do not multiply. The softmax is taken in double precision.
 *
 * <p>Owns a block of logits on the device and its copy on the host. Made and closed by the session's thread; {@link #score}
 * runs on the stream's.
 */
final class TokenScorer implements AutoCloseable {
    private static final long BLOCK_BYTES = 8 << 20;

    private final int[] ids;
    private final double[] logProbabilities;
    private final Tensor block;
    private final Arena arena;
    private final MemorySegment host;
    private int scored;

    TokenScorer(Device device, int[] ids, int vocabulary, int chunk) {
        this.ids = ids;
        this.logProbabilities = new double[ids.length - 1];
        long rows = Math.clamp(BLOCK_BYTES / ((long) Float.BYTES * vocabulary), 1, Math.min(chunk, ids.length));
        this.block = device.allocate(TensorSpec.of(DType.F32, rows, vocabulary));
        this.arena = Arena.ofShared();
        this.host = arena.allocate(block.spec().byteSize(), Float.BYTES);
    }

    /** Takes the logits of the chunk that was fed last, of {@code tokens} tokens; each predicts the id after it. */
    void score(ComputeStream stream, Decoder decoder, int tokens) {
        int predictions = Math.min(tokens, ids.length - 1 - scored);
        long vocabulary = block.spec().rowElements();
        for (int first = 0; first < predictions; first += (int) block.spec().rows()) {
            int rows = (int) Math.min(block.spec().rows(), predictions - first);
            Tensor part = block.rows(0, rows);
            MemorySegment copy = host.asSlice(0, part.spec().byteSize());
            decoder.logits(stream, first, part);
            stream.download(part, copy);
            stream.synchronize();
            for (int row = 0; row < rows; row++, scored++) {
                logProbabilities[scored] = logProbability(copy, row * vocabulary, vocabulary, ids[scored + 1]);
            }
        }
    }

    private static double logProbability(MemorySegment logits, long offset, long count, int id) {
        float max = Float.NEGATIVE_INFINITY;
        for (long i = 0; i < count; i++) {
            max = Math.max(max, logits.getAtIndex(ValueLayout.JAVA_FLOAT, offset + i));
        }
        double sum = 0;
        for (long i = 0; i < count; i++) {
            sum += Math.exp((double) logits.getAtIndex(ValueLayout.JAVA_FLOAT, offset + i) - max);
        }
        return (double) logits.getAtIndex(ValueLayout.JAVA_FLOAT, offset + id) - max - Math.log(sum);
    }

    double[] logProbabilities() {
        return logProbabilities;
    }

    @Override
    public void close() {
        block.close();
        arena.close();
    }
}
