package org.duoattention.tck;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.UnaryOperator;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;

/** Wrong quantised weights and caches. */
class QuantizedMutantsTest extends Mutants {
    @Override
    void define() {
        weights();
        caches();
    }

    private void weights() {
        device("swaps the halves of a byte", changing(QuantizedMutantsTest::swapHalves), "linear", "embed");
        device(
                "reads symmetric codes as signed from zero",
                changing(QuantizedMutantsTest::recentre),
                "linear",
                "embed");
        device("takes the next group's scale", changing(QuantizedMutantsTest::nextScale), "linear", "embed");
        device("forgets offsets", changing(QuantizedMutantsTest::withoutOffsets), "linear", "embed");
        device(
                "lies about the bytes of weights",
                call -> {
                    Object result = call.proceed();
                    return call.is("bytes") && call.arguments[0] instanceof QuantizedSpec ? (Long) result / 2 : result;
                },
                "bytesAreWhatIsAllocatedAndTheSourceIsNotNeededAfterwards");
        device("adopts anything", changing(QuantizedMutantsTest::finite), "scalesAndOffsetsThatAreNotFiniteAreRefused");
        stream(
                "adds and downloads quantised weights",
                swallowing(IllegalArgumentException.class, "add", "download"),
                "aQuantizedTensorIsNoOtherOperand");
    }

    private void caches() {
        device(
                "has 4 bits instead of 8",
                format(f -> new BlockFormat.Grouped(4, f.group(), true, f.scaleType())),
                "retrievalHeads",
                "streamingHeads",
                "anyRowsMoveByHalfAStepAtMost",
                "longSlabs",
                "windowMode");
        device("has one group per head", headGroups(), "anyRowsMoveByHalfAStepAtMost", "retrievalHeads");
        stream("sees evicted tokens", call -> call.is("evict") ? null : call.proceed(), "streamingHeads");
        stream(
                "compacts every head as the first",
                call -> {
                    if (call.is("compact")) {
                        List<int[]> keep = call.argument(1);
                        call.arguments[1] =
                                keep.stream().map(indices -> keep.get(0)).toList();
                    }
                    return call.proceed();
                },
                "compaction");
        stream(
                "takes back one token too few",
                call -> {
                    if (call.is("truncate") && call.<Long>argument(1) > 0) {
                        Slab slab = call.argument(0);
                        call.arguments[1] = Math.min(slab.length(), call.<Long>argument(1) + 1);
                    }
                    return call.proceed();
                },
                "rollback");
    }

    private interface MatrixChange {
        QuantizedMatrix apply(QuantizedMatrix matrix, Arena arena);
    }

    private static Mutation changing(MatrixChange change) {
        return call -> {
            if (call.is("adopt") && call.arguments[0] instanceof QuantizedMatrix matrix) {
                call.arguments[0] = change.apply(matrix, Arena.ofAuto());
            }
            return call.proceed();
        };
    }

    private static MemorySegment copy(MemorySegment part, Arena arena) {
        return arena.allocate(part.byteSize(), 1).copyFrom(part);
    }

    private static QuantizedMatrix swapHalves(QuantizedMatrix matrix, Arena arena) {
        MemorySegment codes = copy(matrix.codes(), arena);
        for (long i = 0; i < codes.byteSize() && matrix.spec().format().bits() == 4; i++) {
            int both = codes.get(ValueLayout.JAVA_BYTE, i);
            codes.set(ValueLayout.JAVA_BYTE, i, (byte) (both << 4 | both >> 4 & 15));
        }
        return new QuantizedMatrix(matrix.spec(), codes, matrix.scales(), matrix.offsets());
    }

    private static QuantizedMatrix recentre(QuantizedMatrix matrix, Arena arena) {
        MemorySegment codes = copy(matrix.codes(), arena);
        int flip = matrix.spec().format().bits() == 4 ? 0x88 : 0x80;
        for (long i = 0; i < codes.byteSize() && !matrix.spec().format().asymmetric(); i++) {
            codes.set(ValueLayout.JAVA_BYTE, i, (byte) (codes.get(ValueLayout.JAVA_BYTE, i) ^ flip));
        }
        return new QuantizedMatrix(matrix.spec(), codes, matrix.scales(), matrix.offsets());
    }

    private static QuantizedMatrix nextScale(QuantizedMatrix matrix, Arena arena) {
        MemorySegment scales = copy(matrix.scales(), arena);
        int bytes = matrix.spec().format().scaleType().bytes();
        MemorySegment.copy(matrix.scales(), bytes, scales, 0, scales.byteSize() - bytes);
        return new QuantizedMatrix(matrix.spec(), matrix.codes(), scales, matrix.offsets());
    }

    private static QuantizedMatrix withoutOffsets(QuantizedMatrix matrix, Arena arena) {
        MemorySegment zeros = arena.allocate(matrix.offsets().byteSize(), 1);
        return new QuantizedMatrix(matrix.spec(), matrix.codes(), matrix.scales(), zeros);
    }

    private static QuantizedMatrix finite(QuantizedMatrix matrix, Arena arena) {
        MemorySegment zeros = arena.allocate(matrix.offsets().byteSize(), 1);
        MemorySegment scales = arena.allocate(matrix.scales().byteSize(), 1);
        return new QuantizedMatrix(matrix.spec(), matrix.codes(), scales, zeros);
    }

    private static Mutation format(UnaryOperator<BlockFormat.Grouped> change) {
        return call -> {
            if (call.is("allocate")
                    && call.arguments[0] instanceof SlabSpec spec
                    && spec.format() instanceof BlockFormat.Grouped grouped
                    && grouped.bits() == 8) {
                call.arguments[0] = with(spec, change.apply(grouped));
            }
            return call.proceed();
        };
    }

    private static Mutation headGroups() {
        return call -> {
            if (call.is("allocate")
                    && call.arguments[0] instanceof SlabSpec spec
                    && spec.format() instanceof BlockFormat.Grouped grouped
                    && grouped.group() < spec.shape().headDim()) {
                call.arguments[0] = with(
                        spec,
                        new BlockFormat.Grouped(grouped.bits(), spec.shape().headDim(), true, grouped.scaleType()));
            }
            return call.proceed();
        };
    }

    private static SlabSpec with(SlabSpec spec, BlockFormat format) {
        return new SlabSpec(
                spec.shape(),
                spec.layer(),
                spec.heads(),
                format,
                spec.retention(),
                spec.maxTokens(),
                spec.maxChunk(),
                spec.undo());
    }
}
