package org.duoattention.tck;

import java.util.List;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;

/**
 * Every operation of {@link Gradients} in double precision on row-major arrays, written to be read; {@code
 * OracleGradientsTest} compares them with differences of {@link OracleMath}. Results are new arrays.
 */
public final class OracleGradients {
    private OracleGradients() {}

    /**
     * The backward of {@link OracleMath#linear} for one layer.
     *
     * @param gradient {@code [tokens, outputs]}
     * @param weight {@code [outputs, in]}
     */
    public static double[] linear(double[] gradient, double[] weight, int in, int outputs) {
        int tokens = gradient.length / outputs;
        double[] out = new double[tokens * in];
        for (int t = 0; t < tokens; t++) {
            for (int o = 0; o < outputs; o++) {
                OracleMath.addScaled(out, t * in, gradient[t * outputs + o], weight, o * in, in);
            }
        }
        return out;
    }

    /** The backward of {@link OracleMath#rmsNorm}. */
    public static double[] rmsNorm(double[] x, double[] weight, double epsilon, double[] gradient) {
        double[] out = new double[x.length];
        int group = weight.length;
        for (int start = 0; start < x.length; start += group) {
            double squares = 0;
            double products = 0;
            for (int i = 0; i < group; i++) {
                squares += x[start + i] * x[start + i];
                products += x[start + i] * weight[i] * gradient[start + i];
            }
            double root = Math.sqrt(squares / group + epsilon);
            for (int i = 0; i < group; i++) {
                out[start + i] =
                        weight[i] * gradient[start + i] / root - x[start + i] * products / group / (root * root * root);
            }
        }
        return out;
    }

    /** The backward of {@link OracleMath#rope}. */
    public static double[] rope(double[] gradient, int width, int headDim, Rope rope, long position) {
        double[] out = gradient.clone();
        int pairs = rope.pairs();
        for (int t = 0; t < gradient.length / width; t++) {
            for (int head = t * width; head < (t + 1) * width; head += headDim) {
                for (int i = 0; i < pairs; i++) {
                    double angle = (position + t) * rope.inverseFrequency(i);
                    double cos = Math.cos(angle) * rope.attentionFactor();
                    double sin = Math.sin(angle) * rope.attentionFactor();
                    double a = gradient[head + i];
                    double b = gradient[head + i + pairs];
                    out[head + i] = a * cos + b * sin;
                    out[head + i + pairs] = b * cos - a * sin;
                }
            }
        }
        return out;
    }

    /** The backward of {@link OracleMath#swiGlu} for {@code gate}. */
    public static double[] swiGluGate(double[] gate, double[] up, double[] gradient) {
        double[] out = new double[gate.length];
        for (int i = 0; i < gate.length; i++) {
            double sigmoid = 1 / (1 + Math.exp(-gate[i]));
            out[i] = gradient[i] * up[i] * sigmoid * (1 + gate[i] * (1 - sigmoid));
        }
        return out;
    }

    /** The backward of {@link OracleMath#swiGlu} for {@code up}. */
    public static double[] swiGluUp(double[] gate, double[] gradient) {
        double[] out = new double[gate.length];
        for (int i = 0; i < gate.length; i++) {
            out[i] = gradient[i] * gate[i] / (1 + Math.exp(-gate[i]));
        }
        return out;
    }

    /** Whether query {@code i} sees key {@code j}. */
    public static boolean visible(Gradients.Streaming streaming, long i, long j) {
        return j <= i && (j < streaming.sinks() || i - j < streaming.recent());
    }

    /** Streaming attention over a sequence, by {@link OracleMath#attention}. */
    public static double[] attend(
            double[] q, double[] k, double[] v, int heads, int kvHeads, Gradients.Streaming streaming) {
        ModelShape shape = new ModelShape(1, 1, heads, kvHeads, streaming.headDim(), 1, 1);
        return OracleMath.attention(
                shape, HeadSet.range(kvHeads), q, k, v, 0, streaming.scale(), (head, i, j) -> visible(streaming, i, j));
    }

    /** The backward of {@link #attend}: the gradients of q, k and v. */
    public static List<double[]> attendBackward(
            double[] q,
            double[] k,
            double[] v,
            int heads,
            int kvHeads,
            Gradients.Streaming streaming,
            double[] gradient) {
        int dim = streaming.headDim();
        int tokens = k.length / kvHeads / dim;
        double[] dq = new double[q.length];
        double[] dk = new double[k.length];
        double[] dv = new double[v.length];
        for (int h = 0; h < heads; h++) {
            int kvHead = h / (heads / kvHeads);
            for (int i = 0; i < tokens; i++) {
                int query = (i * heads + h) * dim;
                double[] p = probabilities(q, query, k, kvHeads, kvHead, streaming, i);
                double[] dp = new double[i + 1];
                double mean = 0;
                for (int j = 0; j <= i; j++) {
                    if (p[j] != 0) {
                        dp[j] = OracleMath.dot(gradient, query, v, (j * kvHeads + kvHead) * dim, dim);
                        mean += p[j] * dp[j];
                    }
                }
                for (int j = 0; j <= i; j++) {
                    if (p[j] != 0) {
                        int key = (j * kvHeads + kvHead) * dim;
                        double ds = streaming.scale() * p[j] * (dp[j] - mean);
                        OracleMath.addScaled(dq, query, ds, k, key, dim);
                        OracleMath.addScaled(dk, key, ds, q, query, dim);
                        OracleMath.addScaled(dv, key, p[j], gradient, query, dim);
                    }
                }
            }
        }
        return List.of(dq, dk, dv);
    }

    /** The probabilities that query {@code i}, at {@code query} in q, gives the keys 0 to i; 0 for those it does not see. */
    static double[] probabilities(
            double[] q, int query, double[] k, int kvHeads, int kvHead, Gradients.Streaming streaming, int i) {
        int dim = streaming.headDim();
        double[] logits = new double[i + 1];
        for (int j = 0; j <= i; j++) {
            logits[j] = visible(streaming, i, j)
                    ? streaming.scale() * OracleMath.dot(q, query, k, (j * kvHeads + kvHead) * dim, dim)
                    : Double.NEGATIVE_INFINITY;
        }
        return OracleMath.softmax(logits);
    }

    /** {@code gate * full + (1 - gate) * streaming}, the rows of {@code width} elements divided among the gates. */
    public static double[] blend(double[] full, double[] streaming, int width, float[] gates) {
        double[] out = new double[full.length];
        for (int i = 0; i < full.length; i++) {
            double gate = gates[i % width / (width / gates.length)];
            out[i] = gate * full[i] + (1 - gate) * streaming[i];
        }
        return out;
    }

    /** The backward of {@link #blend} for {@code streaming}. */
    public static double[] blendStreaming(int width, float[] gates, double[] gradient) {
        double[] out = new double[gradient.length];
        for (int i = 0; i < gradient.length; i++) {
            out[i] = (1 - (double) gates[i % width / (width / gates.length)]) * gradient[i];
        }
        return out;
    }

    /** The backward of {@link #blend} for the gates. */
    public static double[] blendGates(double[] full, double[] streaming, int width, int gates, double[] gradient) {
        double[] out = new double[gates];
        for (int i = 0; i < full.length; i++) {
            out[i % width / (width / gates)] += gradient[i] * (full[i] - streaming[i]);
        }
        return out;
    }
}
