package org.duoattention.tck;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;

/**
 * Every operation of {@link org.duoattention.api.backend.ComputeStream} in double precision on row-major arrays, written
 * to be read. Results are new arrays unless said otherwise.
 */
public final class OracleMath {
    private OracleMath() {}

    /** Rows {@code ids} of a table of {@code width} columns. */
    public static double[] embed(double[] table, int width, int[] ids) {
        double[] out = new double[ids.length * width];
        for (int t = 0; t < ids.length; t++) {
            System.arraycopy(table, ids[t] * width, out, t * width, width);
        }
        return out;
    }

    /** Normalises every consecutive group of {@code weight.length} elements; the groups divide the rows. */
    public static double[] rmsNorm(double[] x, double[] weight, double epsilon) {
        double[] out = new double[x.length];
        int group = weight.length;
        for (int start = 0; start < x.length; start += group) {
            double squares = 0;
            for (int i = 0; i < group; i++) {
                squares += x[start + i] * x[start + i];
            }
            double root = Math.sqrt(squares / group + epsilon);
            for (int i = 0; i < group; i++) {
                out[start + i] = x[start + i] / root * weight[i];
            }
        }
        return out;
    }

    /**
     * {@code x * transpose(weight) + bias}.
     *
     * @param x {@code [tokens, in]}
     * @param weight {@code [outputs, in]}
     * @param bias {@code [outputs]}, or an empty array
     */
    public static double[] linear(double[] x, double[] weight, double[] bias, int in, int outputs) {
        int tokens = x.length / in;
        double[] out = new double[tokens * outputs];
        for (int t = 0; t < tokens; t++) {
            for (int o = 0; o < outputs; o++) {
                double sum = dot(x, t * in, weight, o * in, in);
                out[t * outputs + o] = bias.length == 0 ? sum : sum + bias[o];
            }
        }
        return out;
    }

    /** Rotates every head of every row; row {@code t} of {@code width} elements is at {@code position + t}. */
    public static double[] rope(double[] x, int width, int headDim, Rope rope, long position) {
        double[] out = x.clone();
        int pairs = rope.pairs();
        for (int t = 0; t < x.length / width; t++) {
            for (int head = t * width; head < (t + 1) * width; head += headDim) {
                for (int i = 0; i < pairs; i++) {
                    double angle = (position + t) * rope.inverseFrequency(i);
                    double cos = Math.cos(angle) * rope.attentionFactor();
                    double sin = Math.sin(angle) * rope.attentionFactor();
                    double a = x[head + i];
                    double b = x[head + i + pairs];
                    out[head + i] = a * cos - b * sin;
                    out[head + i + pairs] = b * cos + a * sin;
                }
            }
        }
        return out;
    }

    /** {@code gate * sigmoid(gate) * up}. */
    public static double[] swiGlu(double[] gate, double[] up) {
        double[] out = new double[gate.length];
        for (int i = 0; i < gate.length; i++) {
            out[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
        }
        return out;
    }

    /** {@code a + b}. */
    public static double[] add(double[] a, double[] b) {
        double[] out = new double[a.length];
        for (int i = 0; i < a.length; i++) {
            out[i] = a[i] + b[i];
        }
        return out;
    }

    /**
     * The indices of the k largest elements of a row that begins at {@code from}, the largest first: NaN before all numbers,
     * the lower index before its equals.
     */
    public static int[] topK(double[] x, int from, int width, int k) {
        Comparator<Integer> falling = (a, b) -> {
            double first = x[from + a];
            double second = x[from + b];
            if (Double.isNaN(first) || Double.isNaN(second)) {
                return Boolean.compare(Double.isNaN(second), Double.isNaN(first));
            }
            return first == second ? 0 : first > second ? -1 : 1;
        };
        return IntStream.range(0, width)
                .boxed()
                .sorted(falling.thenComparing(Comparator.naturalOrder()))
                .limit(k)
                .mapToInt(Integer::intValue)
                .toArray();
    }

    /** Whether the query at position {@code i} sees the token at position {@code j} of a slab that is evicted after
     * every chunk, when its chunk begins at {@code chunkStart}. */
    public static boolean visible(Retention retention, PrefillMode mode, long chunkStart, long i, long j) {
        if (j > i) {
            return false;
        }
        if (retention instanceof Retention.All) {
            return true;
        }
        if (retention instanceof Retention.SinkAndRecent streaming) {
            long reach = mode == PrefillMode.WINDOW ? i : Math.min(i, chunkStart);
            return j < streaming.sinks() || j >= reach - streaming.recent();
        }
        throw new IllegalArgumentException("what " + retention + " shows depends on more than positions");
    }

    /** Is told what {@link #attention} weighs the values with. */
    @FunctionalInterface
    interface Weights {
        /**
         * Query head {@code head} of token {@code t} gives every position of the history these probabilities, which are 0
         * where it sees nothing. The array is the listener's.
         */
        void are(int t, int head, double[] p);
    }

    /** Which tokens a query sees. */
    @FunctionalInterface
    public interface Visibility {
        /**
         * Whether KV head {@code head} shows the token at position {@code j} to the query at position {@code i}.
         */
        boolean sees(int head, long i, long j);
    }

    /**
     * Attention of {@code tokens} queries over a history that starts at position 0.
     *
     * @param shape the heads
     * @param heads the KV heads to compute; columns of other heads are NaN
     * @param q {@code [tokens, attentionHeads * headDim]}
     * @param k {@code [history, kvHeads * headDim]}, already rounded to the storage type
     * @param v likewise
     * @param chunkStart position of the first query
     * @param scale factor on the logits
     * @param visibility which tokens count
     */
    public static double[] attention(
            ModelShape shape,
            HeadSet heads,
            double[] q,
            double[] k,
            double[] v,
            long chunkStart,
            double scale,
            Visibility visibility) {
        return attention(shape, heads, q, k, v, chunkStart, scale, visibility, (t, head, p) -> {});
    }

    /** As the other one, which does not tell what the probabilities are. */
    static double[] attention(
            ModelShape shape,
            HeadSet heads,
            double[] q,
            double[] k,
            double[] v,
            long chunkStart,
            double scale,
            Visibility visibility,
            Weights weights) {
        int dim = shape.headDim();
        int group = shape.queryHeadsPerKvHead();
        int tokens = q.length / shape.queryWidth();
        double[] out = new double[q.length];
        Arrays.fill(out, Double.NaN);
        for (int kvHead : heads.stream().toArray()) {
            double[][] keys = columns(k, shape.kvWidth(), kvHead * dim, dim);
            double[][] values = rows(v, shape.kvWidth(), kvHead * dim, dim);
            for (int h = kvHead * group; h < (kvHead + 1) * group; h++) {
                for (int t = 0; t < tokens; t++) {
                    int query = t * shape.queryWidth() + h * dim;
                    double[] logits = logits(q, query, keys, scale, kvHead, chunkStart + t, visibility);
                    double[] p = softmax(logits);
                    double[] sum = new double[dim];
                    for (int j = 0; j < p.length; j++) {
                        if (p[j] != 0) {
                            addScaled(sum, p[j], values[j], dim);
                        }
                    }
                    System.arraycopy(sum, 0, out, query, dim);
                    weights.are(t, h, p);
                }
            }
        }
        return out;
    }

    /** The products of one query with every key, negatively infinite where it sees nothing. */
    static double[] logits(
            double[] q, int query, double[][] keys, double scale, int kvHead, long position, Visibility visibility) {
        double[] logits = new double[keys[0].length];
        int end = logits.length;
        while (end > 0 && !visibility.sees(kvHead, position, end - 1)) {
            end--;
        }
        for (int i = 0; i < keys.length; i++) {
            addScaled(logits, q[query + i], keys[i], end);
        }
        for (int j = 0; j < logits.length; j++) {
            boolean seen = j < end && visibility.sees(kvHead, position, j);
            logits[j] = seen ? scale * logits[j] : Double.NEGATIVE_INFINITY;
        }
        return logits;
    }

    /** {@code sum[i] += factor * x[i]}: with one index for both arrays, the JVM adds several at once. */
    static void addScaled(double[] sum, double factor, double[] x, int length) {
        for (int i = 0; i < length; i++) {
            sum[i] += factor * x[i];
        }
    }

    /** Columns {@code from} to {@code from + count - 1} of every row of a matrix of {@code width} columns, row by row. */
    static double[][] rows(double[] matrix, int width, int from, int count) {
        double[][] rows = new double[matrix.length / width][];
        for (int j = 0; j < rows.length; j++) {
            rows[j] = Arrays.copyOfRange(matrix, j * width + from, j * width + from + count);
        }
        return rows;
    }

    /** As {@link #rows}, column by column. */
    static double[][] columns(double[] matrix, int width, int from, int count) {
        double[][] columns = new double[count][matrix.length / width];
        for (int j = 0; j < matrix.length / width; j++) {
            for (int i = 0; i < count; i++) {
                columns[i][j] = matrix[j * width + from + i];
            }
        }
        return columns;
    }

    /** {@code sum(a[aStart + i] * b[bStart + i])}. */
    public static double dot(double[] a, int aStart, double[] b, int bStart, int length) {
        // Four sums that do not wait for each other: tests spend much of their time here.
        double sum0 = 0;
        double sum1 = 0;
        double sum2 = 0;
        double sum3 = 0;
        int i = 0;
        for (; i < length - 3; i += 4) {
            sum0 += a[aStart + i] * b[bStart + i];
            sum1 += a[aStart + i + 1] * b[bStart + i + 1];
            sum2 += a[aStart + i + 2] * b[bStart + i + 2];
            sum3 += a[aStart + i + 3] * b[bStart + i + 3];
        }
        for (; i < length; i++) {
            sum0 += a[aStart + i] * b[bStart + i];
        }
        return sum0 + sum1 + (sum2 + sum3);
    }

    /** {@code a[aStart + i] += factor * b[bStart + i]}. */
    static void addScaled(double[] a, int aStart, double factor, double[] b, int bStart, int length) {
        for (int i = 0; i < length; i++) {
            a[aStart + i] += factor * b[bStart + i];
        }
    }

    /** {@code exp(x) / sum(exp(x))}, computed relative to the maximum. At least one element is finite. */
    public static double[] softmax(double[] logits) {
        double max = Double.NEGATIVE_INFINITY;
        for (double logit : logits) {
            max = Math.max(max, logit);
        }
        double[] p = new double[logits.length];
        double sum = 0;
        for (int j = 0; j < logits.length; j++) {
            if (logits[j] != Double.NEGATIVE_INFINITY) {
                p[j] = Math.exp(logits[j] - max);
                sum += p[j];
            }
        }
        for (int j = 0; j < logits.length; j++) {
            p[j] /= sum;
        }
        return p;
    }
}
