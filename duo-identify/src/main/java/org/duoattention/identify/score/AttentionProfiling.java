package org.duoattention.identify.score;

import java.util.Map;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.identify.data.PasskeySequence;
import org.duoattention.identify.data.PasskeySequence.Passkey;
import org.duoattention.identify.distill.HostRows;

/**
 * The baseline of the paper (arXiv 2410.10819, section 3.4): the share of attention that a head pays to a passkey's words
 * while the passkey is answered. A head's score is its mean over sequences, passkeys, the states that predict the answer's
 * tokens, and the query heads of its group.
 *
 * <p>Backends give away outputs, not weights. So the same queries and keys attend a second time, to values that say
 * which passkey a token belongs to: column p is one at the words of passkey p and zero elsewhere, and the output is the
 * attention paid to them.
 */
public final class AttentionProfiling implements HeadScorer {
    /** Enough that the order of the heads settles. */
    public static final int DEFAULT_SEQUENCES = 16;

    private final int sequences;

    /**
     * A scorer.
     *
     * @param sequences sequences of the data to look at; at least 1
     */
    public AttentionProfiling(int sequences) {
        if (sequences < 1) {
            throw new IllegalArgumentException("at least 1 sequence is looked at, not " + sequences);
        }
        this.sequences = sequences;
    }

    @Override
    public String name() {
        return "profiling";
    }

    @Override
    public HeadPattern score(ScoringContext context, ScoringProgress progress) {
        ModelShape shape = context.shape();
        int passkeys = context.data().settings().passkeys();
        if (passkeys > shape.headDim()) {
            throw new DuoException("Attention profiling tells passkeys apart in the " + shape.headDim()
                    + " dimensions of a head and cannot do that with " + passkeys + "; ask for fewer passkeys");
        }
        int tokens = context.data().maxTokens();
        double[][] mass = new double[shape.layers()][shape.kvHeads()];
        long[] queries = {0};
        try (FullPass pass = new FullPass(context.model(), tokens)) {
            Slab marked = pass.slab(new Retention.All());
            Tensor marks = pass.allocate(tokens, shape.kvWidth());
            Tensor out = pass.allocate(pass.block(), shape.queryWidth());
            PasskeySamples.run(
                    context,
                    pass,
                    sequences,
                    sample -> {
                        mark(pass.stream(), sample, marks, shape);
                        sample.passkeys().forEach(p -> queries[0] += p.answerTo() - p.answerFrom());
                        return new Profile(sample, marked, marks, out, pass.scale(), shape, mass);
                    },
                    progress);
        }
        int group = shape.attentionHeads() / shape.kvHeads();
        for (double[] layer : mass) {
            for (int head = 0; head < layer.length; head++) {
                layer[head] = Math.clamp(layer[head] / ((double) queries[0] * group), 0.0, 1.0);
            }
        }
        return context.pattern(this, mass, Map.of("sequences", sequences));
    }

    private static void mark(ComputeStream stream, PasskeySequence sample, Tensor marks, ModelShape shape) {
        int width = Math.toIntExact(shape.kvWidth());
        int tokens = sample.sequence().ids().length;
        float[] values = new float[Math.multiplyExact(tokens, width)];
        for (int p = 0; p < sample.passkeys().size(); p++) {
            Passkey passkey = sample.passkeys().get(p);
            for (int token = passkey.from(); token < passkey.to(); token++) {
                for (int head = 0; head < shape.kvHeads(); head++) {
                    values[token * width + head * shape.headDim() + p] = 1;
                }
            }
        }
        HostRows.upload(stream, values, 0, marks.rows(0, tokens));
    }

    /** Adds up the attention of one sequence. */
    private record Profile(
            PasskeySequence sample,
            Slab marked,
            Tensor marks,
            Tensor out,
            float scale,
            ModelShape shape,
            double[][] mass)
            implements FullPass.Observer {
        @Override
        public void begin(ComputeStream stream, int layer) {
            stream.truncate(marked, 0);
        }

        @Override
        public void see(ComputeStream stream, FullPass.Block block) {
            int rows = block.rows();
            stream.append(marked, block.k(), marks.rows(block.row(), rows));
            boolean answered = sample.passkeys().stream()
                    .anyMatch(p -> p.answerFrom() - 1 < block.row() + rows && p.answerTo() - 1 > block.row());
            if (!answered) {
                return;
            }
            Tensor paid = out.rows(0, rows);
            stream.attend(marked, block.q(), scale, PrefillMode.UPSTREAM, paid);
            add(HostRows.download(stream, paid), block.layer(), block.row(), rows);
        }

        private void add(float[] paid, int layer, int first, int rows) {
            int width = Math.toIntExact(shape.queryWidth());
            int group = shape.attentionHeads() / shape.kvHeads();
            for (int p = 0; p < sample.passkeys().size(); p++) {
                Passkey passkey = sample.passkeys().get(p);
                int from = Math.max(passkey.answerFrom() - 1, first);
                int to = Math.min(passkey.answerTo() - 1, first + rows);
                for (int token = from; token < to; token++) {
                    for (int head = 0; head < shape.attentionHeads(); head++) {
                        mass[layer][head / group] += paid[(token - first) * width + head * shape.headDim() + p];
                    }
                }
            }
        }
    }
}
