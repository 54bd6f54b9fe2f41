package org.duoattention.tck;

import java.util.Optional;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;

/**
 * The shapes that the operations of {@link org.duoattention.api.backend.ComputeStream} accept. Each check throws {@link
 * IllegalArgumentException} with the shapes.
 */
final class StreamShapes {
    private StreamShapes() {}

    static void transfer(long bytes, TensorSpec tensor) {
        check(bytes == tensor.byteSize(), "a transfer of " + bytes + " bytes for " + tensor);
    }

    static void embed(TensorSpec table, int tokens, TensorSpec out) {
        String shapes = "embed " + tokens + " of " + table + " into " + out;
        check(table.rank() == 2 && is(out, tokens, table.extent(1)), shapes);
        activations(shapes, out);
    }

    static void rmsNorm(TensorSpec x, TensorSpec weight, TensorSpec out) {
        String shapes = "rmsNorm of " + x + " by " + weight + " into " + out;
        check(weight.rank() == 1 && weight.elements() > 0 && x.rank() == 2 && x.equals(out), shapes);
        check(x.extent(1) % weight.elements() == 0, shapes);
        activations(shapes, x, out);
    }

    static void linear(TensorSpec x, TensorSpec weight, Optional<TensorSpec> bias, TensorSpec out) {
        String shapes =
                "linear of " + x + " by " + weight + bias.map(b -> " + " + b).orElse("") + " into " + out;
        check(x.rank() == 2 && weight.rank() == 2 && x.extent(1) == weight.extent(1), shapes);
        check(is(out, x.rows(), weight.rows()), shapes);
        check(bias.isEmpty() || is(bias.get(), weight.rows()), shapes);
        activations(shapes, x, out);
    }

    static void rope(TensorSpec x, int headDim, Rope rope, long position) {
        String shapes = "rope with " + rope.pairs() + " pairs on heads of " + headDim + " in " + x + " at " + position;
        check(x.rank() == 2 && headDim >= 2 * rope.pairs() && x.extent(1) % headDim == 0 && position >= 0, shapes);
        activations(shapes, x);
    }

    static void same(String operation, TensorSpec... tensors) {
        for (TensorSpec tensor : tensors) {
            check(tensor.equals(tensors[0]), operation + " of " + tensors[0] + " and " + tensor);
        }
        activations(operation, tensors);
    }

    static void topK(TensorSpec x, int k, long indexBytes, long valueBytes) {
        String shapes = "top " + k + " of " + x + " to " + indexBytes + " and " + valueBytes + " bytes";
        check(x.rank() == 2 && k >= 1 && k <= Math.min(x.extent(1), ComputeStream.MAX_TOP_K), shapes);
        long bytes = Math.multiplyExact(Integer.BYTES * (long) k, x.rows());
        check(indexBytes == bytes && valueBytes == bytes, shapes);
        activations(shapes, x);
    }

    static void append(SlabSpec slab, TensorSpec k, TensorSpec v) {
        String shapes = "append of " + k + " and " + v + " to " + slab;
        check(k.rank() == 2 && k.equals(v) && k.extent(1) == slab.shape().kvWidth(), shapes);
        check(k.rows() <= slab.maxChunk(), shapes);
        activations(shapes, k, v);
    }

    static void attend(SlabSpec slab, long appended, TensorSpec q, TensorSpec out) {
        String shapes = "attend of " + q + " into " + out + " after an append of " + appended + " tokens to " + slab;
        int width = slab.shape().queryWidth();
        check(is(q, appended, width) && is(out, appended, width), shapes);
        activations(shapes, q, out);
    }

    private static boolean is(TensorSpec tensor, long... shape) {
        return tensor.equals(TensorSpec.of(tensor.dtype(), shape));
    }

    private static void activations(String what, TensorSpec... tensors) {
        for (TensorSpec tensor : tensors) {
            check(tensor.dtype() == DType.F32, what + ": activations are F32, not " + tensor);
        }
    }

    static void check(boolean condition, String message) {
        if (!condition) {
            throw new IllegalArgumentException(message);
        }
    }
}
