package org.duoattention.examples.cli.bench;

import java.util.List;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelTensors;
import org.duoattention.core.prefill.ChunkPlan;

/**
 * What one pass over a model reads and computes, from its shape, its storage formats and what its cache holds. Counted are the
 * products with matrices and attention; norms and the like are left out.
 */
public final class WorkModel {
    /**
     * KV heads that hold the same tokens.
     *
     * @param heads number of heads, of all layers together
     * @param window most tokens that are held between two chunks
     * @param tokenBytes bytes of the key and the value of one head and token
     */
    public record Heads(long heads, long window, double tokenBytes) {
        long held(long depth) {
            return Math.min(depth, window);
        }
    }

    private final ModelShape shape;
    private final List<Heads> heads;
    private final double weightBytes;
    private final double parameters;
    private final double headParameters;

    /**
     * A model.
     *
     * @param bytesPerWeight bytes of an element of a matrix, scales included
     * @param heads all KV heads
     */
    public WorkModel(ModelConfig config, double bytesPerWeight, List<Heads> heads) {
        this.shape = config.shape();
        this.heads = List.copyOf(heads);
        // The table of embeddings is not read as a matrix unless it is the output projection too.
        double all = ModelTensors.of(config).stream()
                .filter(ModelTensors.Entry::isMatrix)
                .mapToDouble(ModelTensors.Entry::elements)
                .sum();
        this.headParameters = (double) shape.vocabSize() * shape.hiddenSize();
        this.parameters = config.tieWordEmbeddings() ? all : all - headParameters;
        this.weightBytes = parameters * bytesPerWeight;
    }

    /** A decode step with {@code depth} tokens in the cache. */
    public Work decode(long depth) {
        return chunk(depth, 1);
    }

    /** A prefill by chunks; the output projection is computed for one token of each. */
    public Work prefill(Span span, int chunk) {
        ChunkPlan chunks = new ChunkPlan(span.tokens(), chunk);
        Work sum = new Work(0, 0);
        for (long i = 0; i < chunks.chunks(); i++) {
            sum = sum.plus(chunk(span.from() + chunks.start(i), chunks.size(i)));
        }
        return sum;
    }

    private Work chunk(long before, int tokens) {
        double bytes = weightBytes;
        double flops = 2 * (parameters - headParameters) * tokens + 2 * headParameters;
        for (Heads same : heads) {
            long held = same.held(before);
            bytes += (held + tokens) * same.heads() * same.tokenBytes();
            double pairs = tokens * (held + (tokens + 1) / 2.0);
            flops += 4.0 * pairs * same.heads() * shape.queryHeadsPerKvHead() * shape.headDim();
        }
        return new Work(bytes, flops);
    }
}
