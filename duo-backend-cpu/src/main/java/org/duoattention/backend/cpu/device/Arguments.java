package org.duoattention.backend.cpu.device;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cpu.memory.CpuSlab;
import org.duoattention.backend.cpu.memory.CpuTensor;
import org.duoattention.backend.cpu.memory.DeviceMemory;

/** Checks of arguments before anything is computed. Every message holds the shapes. */
final class Arguments {
    private final DeviceMemory memory;

    Arguments(DeviceMemory memory) {
        this.memory = memory;
    }

    /** An open tensor of this device that is not quantised. */
    CpuTensor tensor(Tensor tensor) {
        CpuTensor mine = any(tensor);
        if (mine.isQuantized()) {
            throw illegal("the tensor " + mine.spec() + " is a quantised weight, which cannot be used here");
        }
        return mine;
    }

    private CpuTensor any(Tensor tensor) {
        if (!(tensor instanceof CpuTensor mine) || !mine.belongsTo(memory)) {
            throw new IllegalArgumentException("the tensor " + tensor.spec() + " belongs to another device");
        }
        mine.requireOpen();
        return mine;
    }

    /** An open tensor that may be written to. */
    CpuTensor target(Tensor tensor) {
        CpuTensor mine = tensor(tensor);
        if (mine.isReadOnly()) {
            throw new IllegalArgumentException("the tensor " + tensor.spec() + " is adopted and so read-only");
        }
        return mine;
    }

    /** F32 {@code [tokens, width]}. */
    CpuTensor activation(String name, Tensor tensor) {
        return activation(name, tensor(tensor));
    }

    /** F32 {@code [tokens, width]} that may be written to. */
    CpuTensor activationTarget(String name, Tensor tensor) {
        return activation(name, target(tensor));
    }

    private static CpuTensor activation(String name, CpuTensor tensor) {
        if (!(tensor.spec().dtype() == DType.F32 && tensor.spec().rank() == 2)) {
            throw illegal(name + " must be F32[tokens, width], not " + tensor.spec());
        }
        return tensor;
    }

    /** The weight of a linear layer or the table of an embedding: of any weight type, or quantised. */
    CpuTensor linearWeight(String name, Tensor tensor) {
        CpuTensor mine = any(tensor);
        return mine.isQuantized() ? mine : weight(name, mine);
    }

    /** A weight of any weight type. */
    CpuTensor weight(String name, Tensor tensor) {
        CpuTensor mine = tensor(tensor);
        DType dtype = mine.spec().dtype();
        if (!(dtype == DType.F32 || dtype == DType.F16 || dtype == DType.BF16)) {
            throw illegal(name + " must be F32, F16 or BF16, not " + mine.spec());
        }
        return mine;
    }

    /** An open slab of this device. */
    CpuSlab slab(Slab slab) {
        if (!(slab instanceof CpuSlab mine) || !mine.belongsTo(memory)) {
            throw new IllegalArgumentException(
                    "the slab of layer " + slab.spec().layer() + " belongs to another device");
        }
        mine.requireOpen();
        return mine;
    }

    /** Made only when it is thrown: messages hold shapes, which take longer to write than a small operation. */
    static IllegalArgumentException illegal(String message) {
        return new IllegalArgumentException(message);
    }

    static void sameShape(CpuTensor a, CpuTensor b) {
        if (a.spec() != b.spec() && !isSame(a.spec(), b.spec())) {
            throw illegal("shapes differ: " + a.spec() + " and " + b.spec());
        }
    }

    /** As equals, which makes iterators of the lists of extents. */
    private static boolean isSame(TensorSpec a, TensorSpec b) {
        boolean same = a.dtype() == b.dtype() && a.rank() == b.rank();
        for (int i = 0; same && i < a.rank(); i++) {
            same = a.extent(i) == b.extent(i);
        }
        return same;
    }

    static void apart(CpuTensor out, CpuTensor in) {
        if (out.overlaps(in)) {
            throw illegal("the output " + out.spec() + " overlaps the input " + in.spec());
        }
    }

    /** For operations that work element by element, where the output may be the input. */
    static void sameOrApart(CpuTensor out, CpuTensor in) {
        if (out.overlaps(in) && !out.matrix().equals(in.matrix())) {
            throw illegal("the output " + out.spec() + " overlaps the input " + in.spec() + " in part");
        }
    }

    static void hostBytes(MemorySegment host, CpuTensor tensor) {
        long bytes = tensor.spec().byteSize();
        if (host.byteSize() != bytes) {
            throw illegal("the tensor " + tensor.spec() + " takes " + bytes + " bytes, the host segment has "
                    + host.byteSize());
        }
    }

    static void hostBytes(MemorySegment host, long bytes, String what) {
        if (host.byteSize() != bytes) {
            throw illegal(what + " takes " + bytes + " bytes, the host segment has " + host.byteSize());
        }
    }

    /** Checks how many of the largest elements of every row are asked for, and where they go. */
    static void topK(CpuTensor x, int k, MemorySegment indices, MemorySegment values) {
        long most = Math.min(x.spec().extent(1), ComputeStream.MAX_TOP_K);
        if (!(k >= 1 && k <= most)) {
            throw illegal("the " + k + " largest of each row of " + x.spec() + ": 1 to " + most + " are possible");
        }
        long bytes = Integer.BYTES * k * x.spec().extent(0);
        if (indices.byteSize() != bytes || values.byteSize() != bytes) {
            throw illegal("the " + k + " largest of each row of " + x.spec() + " take " + bytes
                    + " bytes of indices and as many of values, the host segments have " + indices.byteSize() + " and "
                    + values.byteSize());
        }
    }

    /** Checks that heads of {@code headDim} with these pairs divide the rows. */
    static void rotation(CpuTensor x, int headDim, Rope rope, long position) {
        if (!(headDim >= 2L * rope.pairs() && x.spec().extent(1) % headDim == 0 && position >= 0)) {
            throw illegal("heads of " + headDim + " with " + rope.pairs() + " rotated pairs at position " + position
                    + " do not fit the rows of " + x.spec());
        }
    }

    /** Checks one projection of {@code x}. */
    void projection(CpuTensor x, Projection projection) {
        CpuTensor weight = linearWeight("the weight", projection.weight());
        CpuTensor out = activationTarget("the output", projection.out());
        if (!(weight.spec().rank() == 2
                && weight.spec().extent(1) == x.spec().extent(1)
                && out.spec().extent(0) == x.spec().extent(0)
                && out.spec().extent(1) == weight.spec().extent(0))) {
            throw illegal(
                    "x " + x.spec() + " times the transpose of " + weight.spec() + " does not give " + out.spec());
        }
        if (projection.bias().isPresent()) {
            CpuTensor bias = weight("the bias", projection.bias().get());
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
