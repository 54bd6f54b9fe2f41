package org.duoattention.backend.cuda.probe;

import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;

/** What a model takes at the very least, known before its files are read. */
final class LeastMemory {
    /** No format here stores a weight in less than four bits. */
    private static final int BITS_OF_QUANTIZED = 4;

    private LeastMemory() {}

    /** Bytes of the weights, if the table of embeddings is the last layer too and all have the smallest of their types. */
    static long bytes(Requirements requirements) {
        ModelShape shape = requirements.shape();
        long attention = 2L * shape.hiddenSize() * shape.queryWidth() + 2L * shape.hiddenSize() * shape.kvWidth();
        long layer = attention + 3L * shape.hiddenSize() * shape.intermediateSize();
        long weights = shape.layers() * layer + (long) shape.vocabSize() * shape.hiddenSize();
        int bits = requirements.capabilities().contains(Capability.QUANTIZED_WEIGHTS)
                ? BITS_OF_QUANTIZED
                : requirements.weightTypes().stream()
                        .mapToInt(type -> type.bytes() * Byte.SIZE)
                        .min()
                        .orElse(BITS_OF_QUANTIZED);
        return weights / Byte.SIZE * bits;
    }
}
