package org.duoattention.tck;

import static org.duoattention.tck.ErrorBounds.U;

import java.util.Arrays;
import java.util.List;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Rope;

/**
 * How far the backward operations may be from the oracle, with the assumptions of {@link ErrorBounds}.
 *
 * <ul>
 *   <li>Linear layers: as forward, one sum of products over the outputs of all layers.
 *   <li>RMSNorm of n elements, {@code r = 1/root}: r is off by {@code (n/2 + 8) u}, its cube by three times that, the sum of
 *       products by {@code (n + 2) u} of the sum of their sizes S: {@code (n/2 + 12) u |r w g| + (5n/2 + 36) u |x| r^3 S/n}.
 *   <li>SwiGLU: the sigmoid s is off by {@code s (1-s) (|gate| + 8) u} from the exponential and {@code 2 s u} from the
 *       division; {@code 1 - s} by these and its own {@code u}. So the slope {@code s (1 + gate (1-s))} is off by {@code s u
 *       ((|gate| + 16) (1 + |gate| (1-s)) + |gate| (1-s) s (|gate| + 8) + 3 |gate| + 8)}.
 *   <li>Attention over n slots of d elements, {@code A = sum|dout v|} of a slot and {@code M = sum p A} of a query: with E the
 *       relative error of probabilities, {@code ds = p (dp - sum p dp)} is off by {@code F p (A + M)}, {@code F = 2 E + (n +
 *       2 d + 16) u + 4 r}. Sums of m such terms times queries or keys add {@code (m + 4) u}, times the sum of the sizes.
 *   <li>The blend: three roundings of each term.
 * </ul>
 */
final class GradientBounds {
    private static final double TINY = 0x1p-120;

    /** E of this probability is more than what exponentials may leave out, which no sum with a largest term of 1 notices. */
    private static final double NOTHING = 0x1p-70;

    private GradientBounds() {}

    /** One layer of several that read the same input: sizes are the weights' own unless they are quantised. */
    record Layer(double[] gradient, double[] weight, double[] sizes, int outputs, double rounding) {}

    static Expected linears(List<Layer> layers, int in) {
        double[] values = new double[0];
        double[] bounds = new double[0];
        int terms = layers.stream().mapToInt(Layer::outputs).sum();
        for (Layer layer : layers) {
            double[] one = OracleGradients.linear(layer.gradient, layer.weight, in, layer.outputs);
            double[] sizes = OracleGradients.linear(Numbers.absolute(layer.gradient), layer.sizes, in, layer.outputs);
            values = values.length == 0 ? one : OracleMath.add(values, one);
            double factor = (terms + 8) * U + layer.rounding;
            double[] allowed = Arrays.stream(sizes).map(s -> factor * s + TINY).toArray();
            bounds = bounds.length == 0 ? allowed : OracleMath.add(bounds, allowed);
        }
        return new Expected(values, bounds);
    }

    static Expected rmsNorm(double[] x, double[] weight, double epsilon, double[] gradient) {
        double[] bounds = new double[x.length];
        int n = weight.length;
        for (int start = 0; start < x.length; start += n) {
            double squares = 0;
            double sizes = 0;
            for (int i = 0; i < n; i++) {
                squares += x[start + i] * x[start + i];
                sizes += Math.abs(x[start + i] * weight[i] * gradient[start + i]);
            }
            double r = 1 / Math.sqrt(squares / n + epsilon);
            for (int i = 0; i < n; i++) {
                bounds[start + i] = (n / 2.0 + 12) * U * Math.abs(r * weight[i] * gradient[start + i])
                        + (2.5 * n + 36) * U * Math.abs(x[start + i]) * r * r * r * sizes / n
                        + TINY;
            }
        }
        return new Expected(OracleGradients.rmsNorm(x, weight, epsilon, gradient), bounds);
    }

    /** The allowed errors of the forward operation, which turns by the opposite angles. */
    static Expected rope(double[] gradient, int width, int headDim, Rope rope, long position) {
        return new Expected(
                OracleGradients.rope(gradient, width, headDim, rope, position),
                ErrorBounds.rope(gradient, width, headDim, rope, position).bounds());
    }

    static Expected swiGluGate(double[] gate, double[] up, double[] gradient) {
        double[] bounds = new double[gate.length];
        for (int i = 0; i < bounds.length; i++) {
            double g = Math.abs(gate[i]);
            double s = 1 / (1 + Math.exp(-gate[i]));
            double roundings = (g + 16) * (1 + g * (1 - s)) + g * (1 - s) * s * (g + 8) + 3 * g + 8;
            bounds[i] = Math.abs(gradient[i] * up[i]) * (s * U * roundings + Float.MIN_NORMAL * (1 + g)) + TINY;
        }
        return new Expected(OracleGradients.swiGluGate(gate, up, gradient), bounds);
    }

    static Expected swiGluUp(double[] gate, double[] gradient) {
        double[] values = OracleGradients.swiGluUp(gate, gradient);
        double[] bounds = new double[gate.length];
        for (int i = 0; i < bounds.length; i++) {
            bounds[i] = (Math.abs(gate[i]) + 16) * U * Math.abs(values[i])
                    + Float.MIN_NORMAL * Math.abs(gate[i] * gradient[i])
                    + TINY;
        }
        return new Expected(values, bounds);
    }

    /** What streaming attention and its backward should give. */
    record Attention(Expected out, Expected q, Expected k, Expected v) {}

    static Attention attention(
            double[] q,
            double[] k,
            double[] v,
            int heads,
            int kvHeads,
            Gradients.Streaming streaming,
            double[] gradient,
            double rounding) {
        int dim = streaming.headDim();
        int tokens = k.length / kvHeads / dim;
        double scale = Math.abs(streaming.scale());
        double[] outBounds = new double[q.length];
        double[] qBounds = new double[q.length];
        double[] kBounds = new double[k.length];
        double[] vBounds = new double[v.length];
        double[] q0 = Numbers.absolute(q);
        double[] k0 = Numbers.absolute(k);
        double[] v0 = Numbers.absolute(v);
        double[] gradient0 = Numbers.absolute(gradient);
        int queries = tokens * (heads / kvHeads);
        for (int h = 0; h < heads; h++) {
            int kvHead = h / (heads / kvHeads);
            for (int i = 0; i < tokens; i++) {
                int query = (i * heads + h) * dim;
                double[] p = OracleGradients.probabilities(q, query, k, kvHeads, kvHead, streaming, i);
                double[] sizes = new double[i + 1];
                double mean = 0;
                double largest = 0;
                int slots = 0;
                for (int j = 0; j <= i; j++) {
                    if (OracleGradients.visible(streaming, i, j)) {
                        int key = (j * kvHeads + kvHead) * dim;
                        largest = Math.max(largest, scale * OracleMath.dot(q0, query, k0, key, dim));
                        sizes[j] = OracleMath.dot(gradient0, query, v0, key, dim);
                        mean += p[j] * sizes[j];
                        slots++;
                    }
                }
                double e = ErrorBounds.probabilities(slots, dim, largest, rounding);
                double f = 2 * e + (slots + 2.0 * dim + 16) * U + 4 * rounding;
                for (int j = 0; j <= i; j++) {
                    if (OracleGradients.visible(streaming, i, j)) {
                        int key = (j * kvHeads + kvHead) * dim;
                        double probability = p[j] + NOTHING;
                        double ds = scale * probability * (sizes[j] + mean);
                        OracleMath.addScaled(outBounds, query, e * probability, v0, key, dim);
                        OracleMath.addScaled(qBounds, query, (f + (slots + 4) * U) * ds, k0, key, dim);
                        OracleMath.addScaled(kBounds, key, (f + (queries + 4) * U) * ds, q0, query, dim);
                        double factor = (e + (queries + 4) * U + rounding) * probability;
                        OracleMath.addScaled(vBounds, key, factor, gradient0, query, dim);
                    }
                }
            }
        }
        List<double[]> values = OracleGradients.attendBackward(q, k, v, heads, kvHeads, streaming, gradient);
        return new Attention(
                new Expected(OracleGradients.attend(q, k, v, heads, kvHeads, streaming), tiny(outBounds)),
                new Expected(values.get(0), tiny(qBounds)),
                new Expected(values.get(1), tiny(kBounds)),
                new Expected(values.get(2), tiny(vBounds)));
    }

    private static double[] tiny(double[] bounds) {
        return Arrays.stream(bounds).map(bound -> bound + TINY).toArray();
    }

    static Expected blend(double[] full, double[] streaming, int width, float[] gates) {
        double[] bounds = new double[full.length];
        for (int i = 0; i < bounds.length; i++) {
            double gate = gates[i % width / (width / gates.length)];
            bounds[i] = 4 * U * (Math.abs(gate * full[i]) + Math.abs((1 - gate) * streaming[i])) + TINY;
        }
        return new Expected(OracleGradients.blend(full, streaming, width, gates), bounds);
    }

    static Expected blendStreaming(int width, float[] gates, double[] gradient) {
        double[] values = OracleGradients.blendStreaming(width, gates, gradient);
        return new Expected(
                values,
                Arrays.stream(values).map(v -> 3 * U * Math.abs(v) + TINY).toArray());
    }

    static Expected blendGates(double[] full, double[] streaming, int width, int gates, double[] gradient) {
        double[] sizes = new double[gates];
        for (int i = 0; i < full.length; i++) {
            sizes[i % width / (width / gates)] += Math.abs(gradient[i] * (full[i] - streaming[i]));
        }
        int terms = full.length / gates;
        return new Expected(
                OracleGradients.blendGates(full, streaming, width, gates, gradient),
                Arrays.stream(sizes).map(s -> (terms + 4) * U * s + TINY).toArray());
    }
}
