package org.duoattention.backend.cpu.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Cosines and sines of the positions of a chunk: computed in double precision once, then used for queries and keys of all
 * layers. Keeps the last few, for models with more than one rotation.
 */
final class RopeTables implements AutoCloseable {
    private static final int KEPT = 4;
    /** What a cosine and a sine cost in multiplications, roughly. */
    private static final int TRIGONOMETRY_COST = 100;

    /** The tables for consecutive positions. */
    record Table(Rope rope, long position, long tokens, Matrix cos, Matrix sin) {}

    private final Workers workers;
    private final Workspace[] memory = new Workspace[KEPT];
    private final @Nullable Table[] tables = new Table[KEPT];
    private int oldest;

    RopeTables(Workers workers) {
        this.workers = workers;
        for (int i = 0; i < KEPT; i++) {
            memory[i] = new Workspace();
        }
    }

    Table get(Rope rope, long position, long tokens) {
        for (Table table : tables) {
            if (table != null
                    && table.position == position
                    && table.tokens == tokens
                    && (table.rope == rope || table.rope.equals(rope))) {
                return table;
            }
        }
        // Its memory is about to be written over.
        tables[oldest] = null;
        Table table = compute(rope, position, tokens, memory[oldest]);
        tables[oldest] = table;
        oldest = (oldest + 1) % KEPT;
        return table;
    }

    private Table compute(Rope rope, long position, long tokens, Workspace workspace) {
        int pairs = rope.pairs();
        long bytes = 4L * tokens * pairs;
        MemorySegment segment = workspace.reserve(2 * bytes);
        Matrix cos = new Matrix(segment, 0, DType.F32, tokens, pairs);
        Matrix sin = new Matrix(segment, bytes, DType.F32, tokens, pairs);
        double factor = rope.attentionFactor();
        workers.rows(tokens, (long) pairs * TRIGONOMETRY_COST, (from, to, scratch) -> {
            for (long t = from; t < to; t++) {
                for (int i = 0; i < pairs; i++) {
                    double angle = (position + t) * rope.inverseFrequency(i);
                    segment.set(ValueLayout.JAVA_FLOAT, cos.at(t, i), (float) (Math.cos(angle) * factor));
                    segment.set(ValueLayout.JAVA_FLOAT, sin.at(t, i), (float) (Math.sin(angle) * factor));
                }
            }
        });
        return new Table(rope, position, tokens, cos, sin);
    }

    @Override
    public void close() {
        for (Workspace workspace : memory) {
            workspace.close();
        }
    }
}
