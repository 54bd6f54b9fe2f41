package org.duoattention.identify.distill;

import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.model.LayerParts;
import org.duoattention.identify.data.TrainingSequence;

/**
 * The distance between a model and itself with gated heads on one sequence, and its gradient by the gates (DuoAttention,
 * arXiv 2410.10819, section 2.2, with the blend of the authors' code; see {@link BlendRule}).
 *
 * <p>The teacher runs with full attention everywhere. In the student every KV head's group gives {@code gate * full + (1 -
 * gate) * streaming}, where the full part is a constant. So gradients flow through streaming attention, projections, norms
 * and feed-forward parts only, and never through full attention.
 *
 * <p>Owns its stream and its memory on the device; belongs to the thread that made it.
 */
public final class GateStep implements AutoCloseable {
    private final FrozenModel model;
    private final StepSettings settings;
    private final StepMemory memory;
    private final Workspace work;
    private final ComputeStream stream;
    private final Teacher teacher;
    private final Student student;

    /**
     * Allocates for sequences of up to {@code maxTokens} tokens.
     *
     * @throws org.duoattention.core.DuoException when the device has not enough memory
     */
    public GateStep(FrozenModel model, StepSettings settings, int maxTokens) {
        this.model = model;
        this.settings = settings;
        this.memory = new StepMemory(model.config().shape(), maxTokens, settings.block());
        LayerParts parts = new LayerParts(model.config());
        work = new Workspace(model.device(), memory);
        try {
            stream = model.device().openStream();
        } catch (RuntimeException | Error e) {
            work.close();
            throw e;
        }
        FullAttention attention = new FullAttention(work.slab, parts.scale());
        teacher = new Teacher(model, parts, work, attention);
        student = new Student(model, parts, work, attention, settings);
    }

    /** What it keeps on the device. */
    public StepMemory memory() {
        return memory;
    }

    /**
     * Runs one step.
     *
     * @param sequence at most as long as was allocated for
     * @param gates layers x KV heads
     * @throws NotFiniteException when the loss or a gradient is not finite
     * @throws InterruptedException when the thread is interrupted, between two blocks of a layer
     */
    public StepResult run(TrainingSequence sequence, double[][] gates) throws InterruptedException {
        if (sequence.ids().length > memory.tokens()) {
            throw new IllegalArgumentException(
                    "a sequence of " + sequence.ids().length + " tokens, longer than " + memory.tokens());
        }
        int block = memory.block();
        Sequence rows = new Sequence(
                sequence.ids(),
                LabelledRows.of(sequence.labels(), block),
                model.rope().at(sequence.ids().length),
                block);
        float[][] rounded = rounded(gates);
        boolean own = settings.blend() == BlendRule.PAPER;
        float[] wanted = teacher.run(stream, rows, !own);
        float[] states = student.forward(stream, rows, rounded, own);
        double distill = distance(wanted, states);
        double magnitude = magnitude(gates);
        double loss = distill + settings.regularisation() * magnitude;
        if (!Double.isFinite(loss)) {
            throw new NotFiniteException("the loss " + loss, firstNotFinite(rows));
        }
        float[][] gradient = student.backward(stream, rows, rounded, difference(wanted, states));
        return new StepResult(distill, magnitude, loss, total(gradient, gates));
    }

    private static float[][] rounded(double[][] gates) {
        float[][] rounded = new float[gates.length][gates[0].length];
        for (int layer = 0; layer < gates.length; layer++) {
            for (int head = 0; head < gates[layer].length; head++) {
                rounded[layer][head] = (float) gates[layer][head];
            }
        }
        return rounded;
    }

    /** All rows have the hidden size, so the mean over labels of means over it is the mean of all. */
    private static double distance(float[] wanted, float[] states) {
        double sum = 0;
        for (int i = 0; i < states.length; i++) {
            double difference = (double) states[i] - wanted[i];
            sum += difference * difference;
        }
        return sum / states.length;
    }

    /** The gradient of {@link #distance} by the states. */
    private static float[] difference(float[] wanted, float[] states) {
        float[] gradient = new float[states.length];
        for (int i = 0; i < states.length; i++) {
            gradient[i] = (float) (2 * ((double) states[i] - wanted[i]) / states.length);
        }
        return gradient;
    }

    private static double magnitude(double[][] gates) {
        double sum = 0;
        for (double[] layer : gates) {
            for (double gate : layer) {
                sum += Math.abs(gate);
            }
        }
        return sum / heads(gates);
    }

    private static long heads(double[][] gates) {
        return (long) gates.length * gates[0].length;
    }

    private double[][] total(float[][] gradient, double[][] gates) {
        double[][] total = new double[gates.length][gates[0].length];
        for (int layer = gates.length - 1; layer >= 0; layer--) {
            for (int head = 0; head < total[layer].length; head++) {
                double slope = Math.signum(gates[layer][head]) / heads(gates);
                total[layer][head] = gradient[layer][head] + settings.regularisation() * slope;
                if (!Double.isFinite(total[layer][head])) {
                    throw new NotFiniteException("the gradient of a gate", layer);
                }
            }
        }
        return total;
    }

    /** Which layer gave the first number that is not finite, looking at what is still there of both streams. */
    private int firstNotFinite(Sequence rows) {
        ModelShape shape = model.config().shape();
        int tokens = rows.tokens();
        for (int layer = 0; layer < shape.layers(); layer++) {
            int from = layer == shape.layers() - 1 ? rows.firstNeeded() : 0;
            boolean blended = HostRows.isFinite(stream, work.full.get(layer), from, tokens, rows.block());
            boolean output = HostRows.isFinite(stream, work.checkpoints.get(layer + 1), from, tokens, rows.block());
            if (!(blended && output)) {
                return layer;
            }
        }
        // Only the teacher's feed-forward part of the last layer, or its stream under the paper's rule, is gone by now.
        return shape.layers() - 1;
    }

    @Override
    public void close() {
        try {
            stream.close();
        } finally {
            work.close();
        }
    }
}
