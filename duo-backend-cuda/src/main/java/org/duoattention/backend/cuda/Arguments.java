package org.duoattention.backend.cuda;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;

/** Checks of arguments before anything is queued. Every message holds the shapes. */
final class Arguments {
    private final CudaDevice device;

    Arguments(CudaDevice device) {
        this.device = device;
    }

    /** An open tensor of this device that is not quantised. */
    CudaTensor tensor(Tensor tensor) {
        CudaTensor mine = any(tensor);
        if (mine.quantized() != null) {
            throw illegal("the tensor " + mine.spec() + " is a quantised weight, which cannot be used here");
        }
        return mine;
    }

    private CudaTensor any(Tensor tensor) {
        if (!(tensor instanceof CudaTensor mine) || !mine.belongsTo(device)) {
            throw illegal("the tensor " + tensor.spec() + " belongs to another device");
        }
        mine.requireOpen();
        return mine;
    }

    /** An open tensor that may be written to. */
    CudaTensor target(Tensor tensor) {
        CudaTensor mine = tensor(tensor);
        if (mine.isReadOnly()) {
            throw illegal("the tensor " + tensor.spec() + " is adopted and so read-only");
        }
        return mine;
    }

    /** F32 {@code [tokens, width]}. */
    CudaTensor activation(String name, Tensor tensor) {
        return activation(name, tensor(tensor));
    }

    /** F32 {@code [tokens, width]} that may be written to. */
    CudaTensor activationTarget(String name, Tensor tensor) {
        return activation(name, target(tensor));
    }

    private static CudaTensor activation(String name, CudaTensor tensor) {
        if (!(tensor.spec().dtype() == DType.F32 && tensor.spec().rank() == 2)) {
            throw illegal(name + " must be F32[tokens, width], not " + tensor.spec());
        }
        return tensor;
    }

    /** The weight of a linear layer or the table of an embedding: of any weight type, or quantised. */
    CudaTensor linearWeight(String name, Tensor tensor) {
        CudaTensor mine = any(tensor);
        return mine.quantized() != null ? mine : weight(name, mine);
    }

    /** A weight of any weight type. */
    CudaTensor weight(String name, Tensor tensor) {
        CudaTensor mine = tensor(tensor);
        DType dtype = mine.spec().dtype();
        if (!(dtype == DType.F32 || dtype == DType.F16 || dtype == DType.BF16)) {
            throw illegal(name + " must be F32, F16 or BF16, not " + mine.spec());
        }
        return mine;
    }

    /** Made only when it is thrown: messages hold shapes, which take longer to write than a small operation. */
    static IllegalArgumentException illegal(String message) {
        return new IllegalArgumentException(message);
    }

    static void sameShape(CudaTensor a, CudaTensor b) {
        if (!a.spec().equals(b.spec())) {
            throw illegal("shapes differ: " + a.spec() + " and " + b.spec());
        }
    }

    static void apart(CudaTensor out, CudaTensor in) {
        if (out.overlaps(in)) {
            throw illegal("the output " + out.spec() + " overlaps the input " + in.spec());
        }
    }

    /** For operations that work element by element, where the output may be the input. */
    static void sameOrApart(CudaTensor out, CudaTensor in) {
        if (out.overlaps(in) && out.address() != in.address()) {
            throw illegal("the output " + out.spec() + " overlaps the input " + in.spec() + " in part");
        }
    }

    static void hostBytes(MemorySegment host, long bytes, String what) {
        if (host.byteSize() != bytes) {
            throw illegal(what + " takes " + bytes + " bytes, the host segment has " + host.byteSize());
        }
    }

    /** Checks that the weight of a normalisation divides the rows. */
    static void norm(CudaTensor x, CudaTensor weight, CudaTensor out) {
        sameShape(x, out);
        long group = weight.spec().elements();
        if (!(weight.spec().rank() == 1 && group > 0 && x.spec().extent(1) % group == 0)) {
            throw illegal("the weight " + weight.spec() + " does not divide the rows of " + x.spec());
        }
        sameOrApart(out, x);
        apart(out, weight);
    }

    /** Checks how many of the largest elements of every row are asked for, and where they go. */
    static void topK(CudaTensor x, int k, MemorySegment indices, MemorySegment values) {
        long most = Math.min(x.spec().extent(1), ComputeStream.MAX_TOP_K);
        if (!(k >= 1 && k <= most)) {
            throw illegal("the " + k + " largest of each row of " + x.spec() + ": 1 to " + most + " are possible");
        }
        if (x.spec().extent(1) > Integer.MAX_VALUE) {
            throw illegal("the indices in a row of " + x.spec() + " do not fit in 32 bits");
        }
        long bytes = Integer.BYTES * k * x.spec().extent(0);
        if (indices.byteSize() != bytes || values.byteSize() != bytes) {
            throw illegal("the " + k + " largest of each row of " + x.spec() + " take " + bytes
                    + " bytes of indices and as many of values, the host segments have " + indices.byteSize() + " and "
                    + values.byteSize());
        }
    }

    /** Checks that heads of {@code headDim} with these pairs divide the rows. */
    static void rotation(CudaTensor x, int headDim, Rope rope, long position) {
        if (!(headDim >= 2L * rope.pairs() && x.spec().extent(1) % headDim == 0 && position >= 0)) {
            throw illegal("heads of " + headDim + " with " + rope.pairs() + " rotated pairs at position " + position
                    + " do not fit the rows of " + x.spec());
        }
    }

    /** Checks one projection of {@code x}. */
    void projection(CudaTensor x, Projection projection) {
        CudaTensor weight = linearWeight("the weight", projection.weight());
        CudaTensor out = activationTarget("the output", projection.out());
        if (!(weight.spec().rank() == 2
                && weight.spec().extent(1) == x.spec().extent(1)
                && out.spec().extent(0) == x.spec().extent(0)
                && out.spec().extent(1) == weight.spec().extent(0))) {
            throw illegal(
                    "x " + x.spec() + " times the transpose of " + weight.spec() + " does not give " + out.spec());
        }
        if (projection.bias().isPresent()) {
            CudaTensor bias = weight("the bias", projection.bias().get());
            if (!(bias.spec().rank() == 1
                    && bias.spec().elements() == weight.spec().extent(0))) {
                throw illegal("the bias " + bias.spec() + " does not fit the weight " + weight.spec());
            }
            apart(out, bias);
        }
        apart(out, x);
        apart(out, weight);
    }
}
