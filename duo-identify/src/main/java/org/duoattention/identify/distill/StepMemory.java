package org.duoattention.identify.distill;

import java.util.List;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;

/**
 * What a step keeps on the device, known before anything is allocated. It grows with layers x tokens x (hidden size + query
 * width): each layer's input and the full attention that is blended in. Of everything else one layer is there at a time, and of
 * the feed-forward part one block of rows.
 *
 * @param shape the model
 * @param tokens longest sequence
 * @param block rows that go through a layer at once
 */
public record StepMemory(ModelShape shape, int tokens, int block) {
    /**
     * Tensors for one purpose.
     *
     * @param purpose a noun phrase for people
     * @param count number of tensors
     * @param spec each of them
     */
    public record Part(String purpose, int count, TensorSpec spec) {
        private long bytes(Device device) {
            return Math.multiplyExact(count, device.bytes(spec));
        }
    }

    /** Blocks are no longer than sequences. */
    public StepMemory {
        block = Math.min(block, tokens);
    }

    Part checkpoints() {
        return new Part("inputs of layers", shape.layers() + 1, rows(shape.hiddenSize()));
    }

    Part fullAttention() {
        return new Part("outputs of full attention", shape.layers(), rows(shape.queryWidth()));
    }

    Part residual() {
        return new Part("states of the teacher, then gradients", 1, rows(shape.hiddenSize()));
    }

    Part queries() {
        return new Part("queries, streaming attention and gradients of one layer", 3, rows(shape.queryWidth()));
    }

    Part keysAndValues() {
        return new Part("keys, values and gradients of one layer", 4, rows(shape.kvWidth()));
    }

    Part gates() {
        return new Part("gradients of gates", shape.layers(), TensorSpec.of(DType.F32, 1, shape.kvHeads()));
    }

    Part hiddenBlocks() {
        return new Part("blocks of states", 2, block(shape.hiddenSize()));
    }

    Part queryBlocks() {
        return new Part("blocks of blended attention", 1, block(shape.queryWidth()));
    }

    Part feedForwardBlocks() {
        return new Part("blocks of the feed-forward part", 3, block(shape.intermediateSize()));
    }

    /** Every tensor but the cache. */
    public List<Part> parts() {
        return List.of(
                checkpoints(),
                fullAttention(),
                residual(),
                queries(),
                keysAndValues(),
                gates(),
                hiddenBlocks(),
                queryBlocks(),
                feedForwardBlocks());
    }

    /** The cache of the layer that full attention is computed in. */
    SlabSpec slab() {
        return new SlabSpec(
                shape,
                0,
                HeadSet.range(shape.kvHeads()),
                new BlockFormat.Dense(DType.F32),
                new Retention.All(),
                tokens,
                block,
                0);
    }

    /** Exactly the bytes that a step allocates on a device. */
    public long bytes(Device device) {
        long bytes = device.bytes(slab());
        for (Part part : parts()) {
            bytes = Math.addExact(bytes, part.bytes(device));
        }
        return bytes;
    }

    /**
     * Refuses what does not fit.
     *
     * @throws DuoException when the device has less left than this takes
     */
    public void require(Device device) {
        long needed = bytes(device);
        long available = device.availableBytes();
        if (needed > available) {
            throw new DuoException("A step over " + tokens + " tokens takes " + needed + " bytes beside the weights, "
                    + available + " are available on " + device.backendId() + "; ask for shorter sequences");
        }
    }

    private TensorSpec rows(long width) {
        return TensorSpec.of(DType.F32, tokens, width);
    }

    private TensorSpec block(long width) {
        return TensorSpec.of(DType.F32, block, width);
    }
}
