package org.duoattention.core.model;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;

/**
 * The scratch tensors of a forward pass, shared by all sessions of a model because one stream runs one chunk at a time.
 * All F32 {@code [maxChunk, width]}. Owns its tensors.
 */
public final class Activations implements AutoCloseable {
    private final List<Tensor> owned = new ArrayList<>();
    private final int maxChunk;
    final Tensor residual;
    final Tensor normed;
    final Tensor q;
    final Tensor k;
    final Tensor v;
    final Tensor attention;
    final Tensor delta;
    final Tensor gate;
    final Tensor up;

    /**
     * Allocates for chunks of up to {@code maxChunk} tokens.
     *
     * @throws org.duoattention.api.backend.DeviceMemoryException when the device has not enough memory
     */
    public Activations(Device device, ModelShape shape, int maxChunk) {
        this.maxChunk = maxChunk;
        try {
            residual = allocate(device, maxChunk, shape.hiddenSize());
            normed = allocate(device, maxChunk, shape.hiddenSize());
            q = allocate(device, maxChunk, shape.queryWidth());
            k = allocate(device, maxChunk, shape.kvWidth());
            v = allocate(device, maxChunk, shape.kvWidth());
            attention = allocate(device, maxChunk, shape.queryWidth());
            delta = allocate(device, maxChunk, shape.hiddenSize());
            gate = allocate(device, maxChunk, shape.intermediateSize());
            up = allocate(device, maxChunk, shape.intermediateSize());
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** Bytes that activations for chunks of {@code maxChunk} tokens take on a device. */
    public static long bytes(Device device, ModelShape shape, int maxChunk) {
        long bytes = 0;
        for (int width : new int[] {
            shape.hiddenSize(),
            shape.hiddenSize(),
            shape.queryWidth(),
            shape.kvWidth(),
            shape.kvWidth(),
            shape.queryWidth(),
            shape.hiddenSize(),
            shape.intermediateSize(),
            shape.intermediateSize()
        }) {
            bytes = Math.addExact(bytes, device.bytes(TensorSpec.of(DType.F32, maxChunk, width)));
        }
        return bytes;
    }

    private Tensor allocate(Device device, long rows, long width) {
        Tensor tensor = device.allocate(TensorSpec.of(DType.F32, rows, width));
        owned.add(tensor);
        return tensor;
    }

    /** Longest chunk. */
    public int maxChunk() {
        return maxChunk;
    }

    @Override
    public void close() {
        owned.forEach(Tensor::close);
    }
}
