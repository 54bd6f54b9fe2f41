package org.duoattention.backend.cpu.scalar;

import static org.duoattention.backend.cpu.scalar.ScalarKernels.F32;

import java.lang.foreign.MemorySegment;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.StreamingKeys;
import org.duoattention.backend.cpu.kernel.StreamingTask;

/**
 * Streaming attention and its backward for one KV head, one query at a time. With probabilities {@code p}, {@code dp = dout *
 * v} and {@code ds = p * (dp - sum p dp)}: {@code dq = scale * sum ds k}, {@code dk = scale * sum ds q}, {@code dv = sum p
 * dout}.
 */
final class ScalarStreaming {
    private final StreamingTask task;
    private final int kvHead;
    private final int dim;
    private final StreamingKeys keys;
    private final double[] k;
    private final double[] v;
    private final double[] kGradient;
    private final double[] vGradient;

    ScalarStreaming(StreamingTask task, int kvHead, long fromRow, long toRow) {
        this.task = task;
        this.kvHead = kvHead;
        dim = task.headDim();
        keys = StreamingKeys.of(task, fromRow, toRow);
        int size = Math.toIntExact(keys.count() * dim);
        k = new double[size];
        v = new double[size];
        kGradient = new double[size];
        vGradient = new double[size];
        for (long key = 0; key < keys.end(); key++) {
            int index = (int) keys.index(key);
            if (index >= 0) {
                read(task.k(), key, kvHead, k, index * dim);
                read(task.v(), key, kvHead, v, index * dim);
            }
        }
    }

    private void read(Matrix matrix, long row, int head, double[] target, int at) {
        long from = matrix.at(row, (long) head * dim);
        for (int d = 0; d < dim; d++) {
            target[at + d] = matrix.segment().get(F32, from + 4L * d);
        }
    }

    private int queryHead(int g) {
        return kvHead * task.group() + g;
    }

    /** Where in the arrays the rows of the keys are that a query sees. */
    private int[] visible(long row) {
        int sinks = (int) task.sinksSeen(row);
        long from = task.windowFrom(row);
        int[] at = new int[sinks + (int) (row + 1 - from)];
        for (int i = 0; i < at.length; i++) {
            at[i] = dim * (int) keys.index(i < sinks ? i : from + i - sinks);
        }
        return at;
    }

    private double[] probabilities(double[] q, int[] visible) {
        double[] p = new double[visible.length];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < p.length; j++) {
            p[j] = task.scale() * dot(q, k, visible[j]);
            max = Math.max(max, p[j]);
        }
        double sum = 0;
        for (int j = 0; j < p.length; j++) {
            p[j] = Math.exp(p[j] - max);
            sum += p[j];
        }
        for (int j = 0; j < p.length; j++) {
            p[j] /= sum;
        }
        return p;
    }

    private static double dot(double[] a, double[] b, int at) {
        double sum = 0;
        for (int d = 0; d < a.length; d++) {
            sum += a[d] * b[at + d];
        }
        return sum;
    }

    private static void add(double factor, double[] from, int at, double[] to, int target, int count) {
        for (int d = 0; d < count; d++) {
            to[target + d] += factor * from[at + d];
        }
    }

    void attend(long row, int g, Matrix out) {
        double[] q = new double[dim];
        read(task.q(), row, queryHead(g), q, 0);
        int[] visible = visible(row);
        double[] p = probabilities(q, visible);
        double[] sums = new double[dim];
        for (int j = 0; j < p.length; j++) {
            add(p[j], v, visible[j], sums, 0, dim);
        }
        write(sums, out, row, g);
    }

    private void write(double[] values, Matrix out, long row, int g) {
        long at = out.at(row, (long) queryHead(g) * dim);
        for (int d = 0; d < dim; d++) {
            out.segment().set(F32, at + 4L * d, (float) values[d]);
        }
    }

    /** Writes the gradient of a query and keeps what it adds to those of its keys and values. */
    void backward(long row, int g, Matrix gradient, Matrix qGradient) {
        double[] q = new double[dim];
        double[] d = new double[dim];
        read(task.q(), row, queryHead(g), q, 0);
        read(gradient, row, queryHead(g), d, 0);
        int[] visible = visible(row);
        double[] p = probabilities(q, visible);
        double[] dp = new double[p.length];
        double mean = 0;
        for (int j = 0; j < p.length; j++) {
            dp[j] = dot(d, v, visible[j]);
            mean += p[j] * dp[j];
        }
        double[] dq = new double[dim];
        for (int j = 0; j < p.length; j++) {
            double ds = task.scale() * p[j] * (dp[j] - mean);
            add(ds, k, visible[j], dq, 0, dim);
            add(ds, q, 0, kGradient, visible[j], dim);
            add(p[j], d, 0, vGradient, visible[j], dim);
        }
        write(dq, qGradient, row, g);
    }

    /** The gradients of the keys, then those of the values. */
    void store(MemorySegment target, long offset) {
        for (int i = 0; i < kGradient.length; i++) {
            target.set(F32, offset + 4L * i, (float) kGradient[i]);
            target.set(F32, offset + 4L * (kGradient.length + i), (float) vGradient[i]);
        }
    }
}
