package org.duoattention.backend.cpu.vector;

import static java.lang.Math.min;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.StreamingKeys;
import org.duoattention.backend.cpu.kernel.StreamingTask;
import org.duoattention.backend.cpu.kernel.Workspace;

/**
 * Streaming attention of some queries of one KV head, forward and backward, as products of small matrices.
 *
 * <p>The keys that the queries see lie in <i>lanes</i>: sinks, padded to a whole panel, then the others. Queries are taken a few at
 * a time, for all heads of the group, and multiplied with the panels that hold their sinks and their windows; what a query
 * does not see there is hidden. Since a query's products are all there, the softmax needs one pass, and the backward (Dao,
 * FlashAttention-2, arXiv 2307.08691, section 2.2) starts from probabilities: with {@code dp = dout * v} and {@code ds = p *
 * (dp - sum p dp)}: {@code dq = scale * sum ds k}, {@code dk = scale * sum ds q}, {@code dv = sum p dout}.
 */
final class StreamingAttention {
    /** Rows, of all heads of the group, of a block: more share the panels, fewer see less that is hidden. */
    private static final int ROWS = 24;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final StreamingTask task;
    private final int column;
    private final int kvColumn;
    private final int dim;
    /** A row in scratch: the head, padded with zeros to whole panels. */
    private final int width;

    private final int group;
    private final StreamingKeys keys;
    /** Lanes of the sinks. */
    private final int sinkLanes;

    private final int lanes;
    /** Queries of a block. */
    private final int step;
    /** Most columns of a block, which is how far rows of {@link #products} are apart. */
    private final int columns;

    private final float[] m;
    /** {@code [panel][dim][PANEL]}: keys, values transposed. */
    private final int keysAcross;

    private final int valuesAcross;
    /** {@code [lane][width]}: keys and values, and their gradients. */
    private final int keyRows;

    private final int valueRows;
    private final int keyGradients;
    private final int valueGradients;
    /** {@code [row][width]}: queries, scaled; what is made of them; the gradients of the output. */
    private final int queries;

    private final int results;
    private final int gradients;
    /** {@code [row][columns]}: products, then probabilities, and what is multiplied with them. */
    private final int products;

    private final int slopes;
    /** {@code [row][L]}: sums of a row. */
    private final int norms;

    // The panels of the block at hand: 0 to sinkPanels - 1 and firstPanel to endPanel - 1.
    private long row;
    private int rows;
    private int sinkPanels;
    private int firstPanel;
    private int endPanel;

    private StreamingAttention(
            StreamingTask task, int kvHead, long fromRow, long toRow, boolean backward, Workspace workspace) {
        this.task = task;
        dim = task.headDim();
        group = task.group();
        kvColumn = kvHead * dim;
        column = kvColumn * group;
        width = panels(dim) * PANEL;
        keys = StreamingKeys.of(task, fromRow, toRow);
        sinkLanes = panels(Math.toIntExact(keys.sinks())) * PANEL;
        lanes = sinkLanes + panels(Math.toIntExact(keys.end() - keys.first())) * PANEL;
        step = Math.max(1, ROWS / group);
        long most = (panels(min(task.sinks(), lanes)) + panels(min((long) task.recent() + step, lanes)) + 1L) * PANEL;
        columns = (int) min(most, lanes);
        int all = lanes * width;
        int block = step * group;
        keysAcross = Workspace.ALIGNED_FLOAT;
        valuesAcross = keysAcross + lanes * dim;
        keyRows = align(valuesAcross + (backward ? lanes * dim : 0));
        valueRows = keyRows + (backward ? all : 0);
        keyGradients = valueRows + all;
        valueGradients = keyGradients + (backward ? all : 0);
        queries = valueGradients + (backward ? all : 0);
        results = queries + block * width;
        gradients = results + block * width;
        products = gradients + (backward ? block * width : 0);
        slopes = products + block * columns;
        norms = slopes + (backward ? block * columns : 0);
        m = workspace.floats(norms + block * L);
    }

    private static int panels(long count) {
        return (int) ((count + PANEL - 1) / PANEL);
    }

    private static int align(int offset) {
        return (offset - Workspace.ALIGNED_FLOAT + 15 & -16) + Workspace.ALIGNED_FLOAT;
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.GradientKernels#attend}. */
    static void attend(StreamingTask task, int kvHead, long fromRow, long toRow, Matrix out, Workspace workspace) {
        StreamingAttention attention = new StreamingAttention(task, kvHead, fromRow, toRow, false, workspace);
        attention.readKeys(task.k(), attention.valueRows, attention.keysAcross);
        attention.readRows(task.v(), attention.valueRows);
        for (long at = fromRow; at < toRow; at += attention.step) {
            attention.block(at, min(at + attention.step, toRow));
            attention.probabilities();
            attention.values(out);
        }
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.GradientKernels#attendBackward}. */
    static void backward(
            StreamingTask task,
            int kvHead,
            long fromRow,
            long toRow,
            Matrix gradient,
            Matrix qGradient,
            MemorySegment partial,
            long offset,
            Workspace workspace) {
        StreamingAttention attention = new StreamingAttention(task, kvHead, fromRow, toRow, true, workspace);
        attention.readKeys(task.k(), attention.keyRows, attention.keysAcross);
        attention.readKeys(task.v(), attention.valueRows, attention.valuesAcross);
        Arrays.fill(attention.m, attention.keyGradients, attention.queries, 0f);
        for (long at = fromRow; at < toRow; at += attention.step) {
            attention.block(at, min(at + attention.step, toRow));
            attention.probabilities();
            attention.gradients(gradient, qGradient);
        }
        long bytes = 4 * attention.keys.count() * attention.dim;
        // Queries went in with the scale of exponents of 2.
        attention.store(attention.keyGradients, 1 / Exp2.LOG2E, partial, offset);
        attention.store(attention.valueGradients, 1, partial, offset + bytes);
    }

    private void readKeys(Matrix matrix, int at, int across) {
        readRows(matrix, at);
        for (int lane = 0; lane < lanes; lane += 4) {
            int from = at + lane * width;
            int to = across + lane / PANEL * dim * PANEL + lane % PANEL;
            for (int d = 0; d < dim; d++) {
                m[to + d * PANEL] = m[from + d];
                m[to + d * PANEL + 1] = m[from + width + d];
                m[to + d * PANEL + 2] = m[from + 2 * width + d];
                m[to + d * PANEL + 3] = m[from + 3 * width + d];
            }
        }
    }

    /** Rows of the head by lane; padding is zero, because what is hidden is still multiplied, with zero. */
    private void readRows(Matrix matrix, int at) {
        Arrays.fill(m, at, at + lanes * width, 0f);
        for (long key = 0; key < keys.sinks(); key++) {
            int to = at + (int) key * width;
            MemorySegment.copy(matrix.segment(), F32, matrix.at(key, kvColumn), m, to, dim);
        }
        for (long key = keys.first(); key < keys.end(); key++) {
            int to = at + lane(key) * width;
            MemorySegment.copy(matrix.segment(), F32, matrix.at(key, kvColumn), m, to, dim);
        }
    }

    /** The lane of a key that is not among the padded sinks. */
    private int lane(long key) {
        return sinkLanes + (int) (key - keys.first());
    }

    /** The column of a lane in the block at hand. */
    private int columnOf(int lane) {
        return lane < sinkPanels * PANEL ? lane : lane - (firstPanel - sinkPanels) * PANEL;
    }

    private int columnsNow() {
        return (sinkPanels + endPanel - firstPanel) * PANEL;
    }

    private void block(long from, long to) {
        row = from;
        rows = (int) (to - from) * group;
        sinkPanels = sinkLanes > 0 ? sinkLanes / PANEL : panels(min(task.sinks(), to));
        int window = lane(Math.max(keys.first(), from - task.recent() + 1));
        endPanel = panels(lane(to - 1) + 1);
        firstPanel = min(endPanel, Math.max(sinkPanels, window / PANEL));
        readBlock(task.q(), queries, task.scale() * Exp2.LOG2E);
    }

    /** The rows of the block: those of one query after those of the other. */
    private void readBlock(Matrix matrix, int at, float factor) {
        for (int r = 0; r < rows; r++) {
            int to = at + r * width;
            long from = matrix.at(row + r / group, column + (long) (r % group) * dim);
            MemorySegment.copy(matrix.segment(), F32, from, m, to, dim);
            Arrays.fill(m, to + dim, to + width, 0f);
        }
        if (factor != 1) {
            Softmax.scale(m, at, rows * width, factor);
        }
    }

    /** {@code target = a * transpose(keys)} or values, for the panels of the block. */
    private void multiply(int a, int across, int target) {
        int now = columnsNow();
        for (int r = 0; r < rows; r++) {
            Arrays.fill(m, target + r * columns, target + r * columns + now, 0f);
        }
        for (int p = 0; p < sinkPanels; p++) {
            multiply(a, across + p * dim * PANEL, target, p * PANEL);
        }
        for (int p = firstPanel; p < endPanel; p++) {
            multiply(a, across + p * dim * PANEL, target, (sinkPanels + p - firstPanel) * PANEL);
        }
    }

    private void multiply(int a, int panel, int target, int at) {
        MicroKernel.rows(rows, m, a, width, m, panel, PANEL, m, target + at, columns, dim);
    }

    /** The probabilities of the block, not normalised, and the inverses of their sums in the first lanes of the norms. */
    private void probabilities() {
        multiply(queries, keysAcross, products);
        int now = columnsNow();
        for (int r = 0; r < rows; r++) {
            int s = products + r * columns;
            long query = row + r / group;
            int sinks = (int) task.sinksSeen(query);
            int to = columnOf(lane(query)) + 1;
            int from = min(to, columnOf(lane(Math.max(keys.first(), task.windowFrom(query)))));
            if (sinks < from) {
                Arrays.fill(m, s + sinks, s + from, Exp2.HIDDEN);
            }
            Arrays.fill(m, s + to, s + now, Exp2.HIDDEN);
            Softmax.add(m, s, now, -Softmax.max(m, s, now, Exp2.HIDDEN));
        }
        Arrays.fill(m, norms, norms + rows * L, 0f);
        Exp2.rows(m, products, rows, columns, now, norms);
        for (int r = 0; r < rows; r++) {
            float sum = 0;
            for (int lane = 0; lane < L; lane++) {
                sum += m[norms + r * L + lane];
            }
            m[norms + r * L] = 1 / sum;
        }
    }

    /** {@code results = a * keys} or values. */
    private void accumulate(int a, int rowsOf) {
        Arrays.fill(m, results, results + rows * width, 0f);
        for (int d = 0; d < width; d += PANEL) {
            int sinks = sinkPanels * PANEL;
            MicroKernel.rows(rows, m, a, columns, m, rowsOf + d, width, m, results + d, width, sinks);
            int from = rowsOf + firstPanel * PANEL * width + d;
            int count = (endPanel - firstPanel) * PANEL;
            MicroKernel.rows(rows, m, a + sinks, columns, m, from, width, m, results + d, width, count);
        }
    }

    private void values(Matrix out) {
        accumulate(products, valueRows);
        for (int r = 0; r < rows; r++) {
            Softmax.scale(m, results + r * width, width, m[norms + r * L]);
        }
        write(out);
    }

    private void write(Matrix out) {
        for (int r = 0; r < rows; r++) {
            long to = out.at(row + r / group, column + (long) (r % group) * dim);
            MemorySegment.copy(m, results + r * width, out.segment(), F32, to, dim);
        }
    }

    private void gradients(Matrix gradient, Matrix qGradient) {
        readBlock(gradient, gradients, 1);
        multiply(gradients, valuesAcross, slopes);
        int now = columnsNow();
        for (int r = 0; r < rows; r++) {
            slope(products + r * columns, slopes + r * columns, now, m[norms + r * L]);
        }
        outer(products, gradients, valueGradients);
        outer(slopes, queries, keyGradients);
        accumulate(slopes, keyRows);
        Softmax.scale(m, results, rows * width, task.scale());
        write(qGradient);
    }

    /** Normalises {@code p} and makes {@code p * (dp - sum of p * dp)} of {@code dp}. */
    private void slope(int p, int dp, int count, float inverse) {
        FloatVector sum = FloatVector.zero(F);
        for (int i = 0; i < count; i += L) {
            FloatVector v = FloatVector.fromArray(F, m, p + i).mul(inverse);
            v.intoArray(m, p + i);
            sum = v.fma(FloatVector.fromArray(F, m, dp + i), sum);
        }
        float mean = LaneSum.of(sum);
        for (int i = 0; i < count; i += L) {
            FloatVector.fromArray(F, m, dp + i)
                    .sub(mean)
                    .mul(FloatVector.fromArray(F, m, p + i))
                    .intoArray(m, dp + i);
        }
    }

    /** {@code target += transpose(a) * b}, for the lanes of the block. */
    private void outer(int a, int b, int target) {
        int sinks = sinkPanels * PANEL;
        int count = (endPanel - firstPanel) * PANEL;
        int first = target + firstPanel * PANEL * width;
        for (int d = 0; d < width; d += PANEL) {
            TransposedKernel.rows(sinks, m, a, columns, m, b + d, width, m, target + d, width, rows);
            TransposedKernel.rows(count, m, a + sinks, columns, m, b + d, width, m, first + d, width, rows);
        }
    }

    private void store(int from, float factor, MemorySegment target, long offset) {
        if (factor != 1) {
            Softmax.scale(m, from, lanes * width, factor);
        }
        long at = offset;
        for (long key = 0; key < keys.sinks(); key++, at += 4L * dim) {
            MemorySegment.copy(m, from + (int) key * width, target, F32, at, dim);
        }
        for (long key = keys.first(); key < keys.end(); key++, at += 4L * dim) {
            MemorySegment.copy(m, from + lane(key) * width, target, F32, at, dim);
        }
    }
}
