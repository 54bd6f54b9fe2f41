package org.duoattention.identify.score;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.identify.distill.HostRows;

/**
 * Scores heads in one forward pass, without training and without knowing where passkeys are: how far the residual stream
 * moves when a head sees sinks and recent tokens instead of everything. For every KV head and labelled state the outputs
 * of its group under full and under streaming attention are subtracted, with the same queries, keys and values, and the
 * difference goes through the layer's output projection; its length over that of the residual stream, at most 1, is
 * averaged over the states.
 *
 * <p>After FastGen (arXiv 2310.01801), which chooses a cache per head by how well it recovers the head's attention on
 * the prompt itself. Weighing attention by what it writes rather than by its mass is ours: heads that look far away but
 * write little do not count.
 *
 * <p>A head that matters only through a later one, or only together with others, moves the stream as well, which leaving out
 * heads one by one would not show.
 */
public final class OutputChange implements HeadScorer {
    /** Enough that the order of the heads settles. */
    public static final int DEFAULT_SEQUENCES = 16;

    private final int sequences;

    /**
     * A scorer.
     *
     * @param sequences sequences of the data to look at; at least 1
     */
    public OutputChange(int sequences) {
        if (sequences < 1) {
            throw new IllegalArgumentException("at least 1 sequence is looked at, not " + sequences);
        }
        this.sequences = sequences;
    }

    @Override
    public String name() {
        return "on-the-fly";
    }

    @Override
    public HeadPattern score(ScoringContext context, ScoringProgress progress) {
        ModelShape shape = context.shape();
        double[][] change = new double[shape.layers()][shape.kvHeads()];
        long[] states = {0};
        try (FullPass pass = new FullPass(context.model(), context.data().maxTokens());
                Change observer = new Change(context, pass, change)) {
            PasskeySamples.run(
                    context,
                    pass,
                    sequences,
                    sample -> {
                        states[0] += sample.sequence().labels().length;
                        return observer.of(sample.sequence().labels());
                    },
                    progress);
        }
        for (double[] layer : change) {
            for (int head = 0; head < layer.length; head++) {
                layer[head] /= states[0];
            }
        }
        return context.pattern(this, change, Map.of("sequences", sequences));
    }

    /** Adds up the changes of one sequence after another. */
    private static final class Change implements FullPass.Observer, AutoCloseable {
        private final FullPass pass;
        private final ModelShape shape;
        private final Retention retention;
        private final PrefillMode mode;
        private final double[][] sums;
        private final Tensor streaming;
        private final Tensor differences;
        private final Tensor written;
        private int[] labels = {};
        private Optional<Slab> window = Optional.empty();

        Change(ScoringContext context, FullPass pass, double[][] sums) {
            this.pass = pass;
            this.shape = context.shape();
            this.retention = new Retention.SinkAndRecent(context.sinks(), context.recent());
            // Without the capability a head sees some more than its window, up to one block.
            this.mode = context.model().device().capabilities().contains(Capability.WINDOW_PREFILL)
                    ? PrefillMode.WINDOW
                    : PrefillMode.UPSTREAM;
            this.sums = sums;
            this.streaming = pass.allocate(pass.block(), shape.queryWidth());
            this.differences = pass.allocate(pass.block(), shape.queryWidth());
            this.written = pass.allocate(pass.block(), shape.hiddenSize());
        }

        Change of(int[] positions) {
            labels = positions;
            return this;
        }

        @Override
        public void begin(ComputeStream stream, int layer) {
            close();
            window = Optional.of(pass.open(retention));
        }

        @Override
        public void see(ComputeStream stream, FullPass.Block block) {
            Slab slab = window.orElseThrow();
            int rows = block.rows();
            stream.append(slab, block.k(), block.v());
            List<Integer> here = Arrays.stream(labels)
                    .filter(label -> label >= block.row() && label < block.row() + rows)
                    .mapToObj(label -> label - block.row())
                    .toList();
            if (!here.isEmpty()) {
                Tensor out = streaming.rows(0, rows);
                stream.attend(slab, block.q(), pass.scale(), mode, out);
                compare(stream, block, HostRows.download(stream, out), here);
            }
            stream.evict(slab);
        }

        private void compare(ComputeStream stream, FullPass.Block block, float[] window, List<Integer> rows) {
            float[] full = HostRows.download(stream, block.attended());
            float[] residual = HostRows.download(stream, block.residual());
            int width = Math.toIntExact(shape.queryWidth());
            int group = width / shape.kvHeads();
            int hidden = shape.hiddenSize();
            List<int[]> pairs = new ArrayList<>();
            for (int head = 0; head < shape.kvHeads(); head++) {
                for (int row : rows) {
                    pairs.add(new int[] {head, row});
                }
            }
            for (int from = 0; from < pairs.size(); from += pass.block()) {
                List<int[]> some = pairs.subList(from, Math.min(pairs.size(), from + pass.block()));
                float[] masked = new float[some.size() * width];
                for (int i = 0; i < some.size(); i++) {
                    int column = some.get(i)[0] * group;
                    int at = some.get(i)[1] * width + column;
                    for (int j = 0; j < group; j++) {
                        masked[i * width + column + j] = full[at + j] - window[at + j];
                    }
                }
                Tensor input = differences.rows(0, some.size());
                Tensor output = written.rows(0, some.size());
                HostRows.upload(stream, masked, 0, input);
                // A difference has no bias.
                stream.linear(input, new Projection(block.weights().o().weight(), Optional.empty(), output));
                float[] moved = HostRows.download(stream, output);
                for (int i = 0; i < some.size(); i++) {
                    double length = norm(moved, i * hidden, hidden);
                    double base = norm(residual, some.get(i)[1] * hidden, hidden);
                    sums[block.layer()][some.get(i)[0]] += base > 0 ? Math.min(1, length / base) : 0;
                }
            }
        }

        private static double norm(float[] values, int from, int count) {
            double sum = 0;
            for (int i = from; i < from + count; i++) {
                sum += (double) values[i] * values[i];
            }
            return Math.sqrt(sum);
        }

        @Override
        public void close() {
            window.ifPresent(Slab::close);
            window = Optional.empty();
        }
    }
}
