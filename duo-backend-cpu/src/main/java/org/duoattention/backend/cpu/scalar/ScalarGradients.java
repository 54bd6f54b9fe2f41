package org.duoattention.backend.cpu.scalar;

import static org.duoattention.backend.cpu.scalar.ScalarKernels.F32;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.GradientKernels;
import org.duoattention.backend.cpu.kernel.LinearGradient;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.StreamingTask;
import org.duoattention.backend.cpu.kernel.Workspace;

/** The backward operations as plain loops in double precision. */
public final class ScalarGradients implements GradientKernels {
    private static final int TOKENS = 256;
    private static final int COLUMNS = 64;

    private final CpuKernels kernels;

    /**
     * Loops over weights in the order of other kernels.
     *
     * @param kernels what widens the weights
     */
    public ScalarGradients(CpuKernels kernels) {
        this.kernels = kernels;
    }

    @Override
    public int linearTokens(long outs) {
        return TOKENS;
    }

    @Override
    public int linearColumnBlock() {
        return COLUMNS;
    }

    @Override
    public void linears(
            List<LinearGradient> layers, PackedInput packed, Matrix out, int from, int to, Workspace workspace) {
        int tokens = Math.toIntExact(out.rows());
        int width = to - from;
        double[] sums = new double[tokens * width];
        Matrix row = new Matrix(workspace.reserve(4L * out.columns()), 0, DType.F32, 1, out.columns());
        for (LinearGradient layer : layers) {
            Matrix gradient = layer.gradient();
            for (int o = 0; o < gradient.columns(); o++) {
                kernels.widen(layer.weight(), o, o + 1L, row, 0, workspace);
                for (int t = 0; t < tokens; t++) {
                    double g = gradient.segment().get(F32, gradient.at(t, o));
                    for (int i = 0; i < width; i++) {
                        sums[t * width + i] += g * row.segment().get(F32, 4L * (from + i));
                    }
                }
            }
        }
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < width; i++) {
                out.segment().set(F32, out.at(t, from + i), (float) sums[t * width + i]);
            }
        }
    }

    /**
     * With {@code r = 1 / sqrt(mean(x^2) + epsilon)}: {@code dx = r * (w * g) - x * r^3 * mean(w * g * x)}.
     */
    @Override
    public void rmsNorm(
            Matrix x,
            Matrix weight,
            float epsilon,
            Matrix gradient,
            Matrix out,
            long fromRow,
            long toRow,
            Workspace workspace) {
        int group = weight.columns();
        for (long r = fromRow; r < toRow; r++) {
            for (int start = 0; start < x.columns(); start += group) {
                double squares = 0;
                double products = 0;
                for (int i = 0; i < group; i++) {
                    double value = x.segment().get(F32, x.at(r, start + i));
                    squares += value * value;
                    products += value * scaled(weight, i, gradient, r, start + i);
                }
                double factor = 1 / Math.sqrt(squares / group + epsilon);
                double slope = products / group * factor * factor * factor;
                for (int i = 0; i < group; i++) {
                    double value = x.segment().get(F32, x.at(r, start + i));
                    double result = factor * scaled(weight, i, gradient, r, start + i) - slope * value;
                    out.segment().set(F32, out.at(r, start + i), (float) result);
                }
            }
        }
    }

    private static double scaled(Matrix weight, int i, Matrix gradient, long row, long column) {
        double w = ScalarKernels.element(weight.segment(), weight.dtype(), weight.at(0, i));
        return w * gradient.segment().get(F32, gradient.at(row, column));
    }

    @Override
    public void swiGlu(
            Matrix gate, Matrix up, Matrix gradient, Matrix gateGradient, Matrix upGradient, long from, long to) {
        for (long i = from; i < to; i++) {
            double g = gate.segment().get(F32, gate.at(0, i));
            double u = up.segment().get(F32, up.at(0, i));
            double d = gradient.segment().get(F32, gradient.at(0, i));
            double sigmoid = 1 / (1 + Math.exp(-g));
            double slope = sigmoid + g * sigmoid * (1 - sigmoid);
            gateGradient.segment().set(F32, gateGradient.at(0, i), (float) (d * u * slope));
            upGradient.segment().set(F32, upGradient.at(0, i), (float) (d * g * sigmoid));
        }
    }

    @Override
    public void attend(StreamingTask task, int kvHead, long fromRow, long toRow, Matrix out, Workspace workspace) {
        ScalarStreaming streaming = new ScalarStreaming(task, kvHead, fromRow, toRow);
        for (long row = fromRow; row < toRow; row++) {
            for (int g = 0; g < task.group(); g++) {
                streaming.attend(row, g, out);
            }
        }
    }

    @Override
    public void attendBackward(
            StreamingTask task,
            int kvHead,
            long fromRow,
            long toRow,
            Matrix gradient,
            Matrix qGradient,
            MemorySegment partial,
            long offset,
            Workspace workspace) {
        ScalarStreaming streaming = new ScalarStreaming(task, kvHead, fromRow, toRow);
        for (long row = fromRow; row < toRow; row++) {
            for (int g = 0; g < task.group(); g++) {
                streaming.backward(row, g, gradient, qGradient);
            }
        }
        streaming.store(partial, offset);
    }

    @Override
    public void blend(Matrix full, Matrix streaming, float[] gates, Matrix out, long fromRow, long toRow) {
        int width = out.columns() / gates.length;
        for (long r = fromRow; r < toRow; r++) {
            for (int c = 0; c < out.columns(); c++) {
                double gate = gates[c / width];
                double f = full.segment().get(F32, full.at(r, c));
                double s = streaming.segment().get(F32, streaming.at(r, c));
                out.segment().set(F32, out.at(r, c), (float) (gate * f + (1 - gate) * s));
            }
        }
    }

    @Override
    public void blendBackward(
            Matrix full,
            Matrix streaming,
            float[] gates,
            Matrix gradient,
            Matrix streamingGradient,
            long fromRow,
            long toRow,
            double[] sums,
            int at) {
        int width = full.columns() / gates.length;
        for (int h = 0; h < gates.length; h++) {
            double sum = 0;
            for (long r = fromRow; r < toRow; r++) {
                for (int c = h * width; c < (h + 1) * width; c++) {
                    double d = gradient.segment().get(F32, gradient.at(r, c));
                    double f = full.segment().get(F32, full.at(r, c));
                    double s = streaming.segment().get(F32, streaming.at(r, c));
                    sum += d * (f - s);
                    streamingGradient.segment().set(F32, streamingGradient.at(r, c), (float) ((1.0 - gates[h]) * d));
                }
            }
            sums[at + h] = sum;
        }
    }
}
