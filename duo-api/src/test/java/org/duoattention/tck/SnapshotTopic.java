package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Saving and restoring slabs. */
abstract class SnapshotTopic extends BackendTopic {
    private static final Retention STREAMING = new Retention.SinkAndRecent(3, 9);

    @BeforeEach
    void needsSnapshots() {
        assumeTrue(subject.supports(Capability.SNAPSHOT), "skipped: the backend does not save slabs");
    }

    private SlabRun run(int dim, Retention retention, BlockFormat format) {
        SlabSpec spec = new SlabSpec(SlabRun.shape(3, 2, dim), 0, HeadSet.of(0, 2), format, retention, 1000, 13, 4);
        DType dtype = ((BlockFormat.Dense) format).dtype();
        return new SlabRun(
                rig, spec, PrefillMode.UPSTREAM, subject.operandRounding().applyAsDouble(dtype));
    }

    static Stream<Arguments> slabs() {
        return Stream.of(new Retention.All(), STREAMING)
                .flatMap(retention -> SlabRun.formats().stream().map(format -> Arguments.of(retention, format)));
    }

    @ParameterizedTest
    @MethodSource("slabs")
    void aRestoredSlabGoesOnWhereTheSavedOneWas(Retention retention, BlockFormat format) {
        SlabRun run = run(64, retention, format);
        for (int chunks = 0; chunks < 5; chunks++) {
            MemorySegment snapshot = run.save();
            assertThat(rig.stream.saveBytes(run.slab)).isEqualTo(snapshot.byteSize());
            SlabRun restored = run.fork();
            long length = run.slab.length();
            long least = run.slab.minLength();
            rig.stream.restore(restored.slab, snapshot);
            snapshot.fill((byte) 0x11);
            assertThat(restored.slab.length()).isEqualTo(length);
            assertThat(restored.slab.minLength()).isEqualTo(least);
            for (int head : new int[] {0, 2}) {
                assertThat(rig.stream.slots(restored.slab, head).positions())
                        .isEqualTo(rig.stream.slots(run.slab, head).positions());
            }
            if (subject.supports(Capability.ROLLBACK) && length > 0) {
                restored.truncate(Math.max(least, length - 4));
            }
            restored.chunk("restored", 7);
            restored.chunk("restored", 1);
            run.chunk("saved", 13);
        }
    }

    @Test
    void aUsedSlabIsReplaced() {
        SlabRun run = run(64, STREAMING, BlockFormat.F32);
        run.chunk("saved", 13);
        MemorySegment snapshot = run.save();
        SlabRun other = run.fork();
        rig.stream.restore(other.slab, snapshot);
        for (int i = 0; i < 3; i++) {
            run.chunk("moved on", 13);
        }
        rig.stream.restore(run.slab, snapshot);
        assertThat(run.slab.length()).isEqualTo(13);
        double[] k = rig.random(DType.F32, 5 * run.shape.kvWidth(), 1);
        double[] q = rig.random(DType.F32, 5 * run.shape.queryWidth(), 1);
        other.append(k, k);
        double[] expected = other.attend("restored into an empty slab", q);
        try (var keys = device.allocate(org.duoattention.api.tensor.TensorSpec.of(DType.F32, 5, run.shape.kvWidth()))) {
            rig.stream.upload(rig.host(DType.F32, k), keys);
            rig.stream.append(run.slab, keys, keys);
        }
        Rig.Guarded out = rig.guarded(5, run.shape.queryWidth());
        rig.stream.attend(
                run.slab, rig.activation(q, 5, run.shape.queryWidth()), run.scale, PrefillMode.UPSTREAM, out.rows());
        Expected reference = other.expected(q);
        reference.check("restored into a used slab", out.numbers("restored"));
        reference.check("restored into an empty slab", expected);
    }

    @Test
    void whatIsNoSnapshotOfTheSpecIsRefused() {
        SlabRun run = run(64, STREAMING, BlockFormat.F16);
        run.chunk("before", 13);
        run.chunk("before", 7);
        MemorySegment good = run.save();
        byte[] noise = new byte[(int) good.byteSize()];
        for (int i = 0; i < noise.length; i++) {
            noise[i] = (byte) rig.random.nextInt();
        }
        SlabRun otherDim = run(32, STREAMING, BlockFormat.F16);
        SlabRun otherFormat = run(64, STREAMING, BlockFormat.BF16);
        SlabRun otherRetention = run(64, new Retention.SinkAndRecent(4, 8), BlockFormat.F16);
        List<SlabRun> others = List.of(otherDim, otherFormat, otherRetention);
        others.forEach(other -> other.chunk("another", 13));
        List<MemorySegment> bad = List.of(
                rig.arena.allocate(0, 1),
                rig.arena.allocate(1),
                rig.arena.allocate(good.byteSize()),
                MemorySegment.ofArray(noise),
                good.asSlice(0, good.byteSize() - 1),
                good.asSlice(0, good.byteSize() / 2),
                otherDim.save(),
                otherFormat.save(),
                otherRetention.save());
        for (int i = 0; i < bad.size(); i++) {
            MemorySegment snapshot = bad.get(i);
            assertThatThrownBy(() -> rig.stream.restore(run.slab, snapshot))
                    .as("bad snapshot %d of %d bytes", i, snapshot.byteSize())
                    .isInstanceOf(IllegalArgumentException.class);
            assertThat(run.slab.length()).isEqualTo(20);
        }
        run.chunk("after refused snapshots", 13);
        for (long bytes : new long[] {0, good.byteSize() - 1}) {
            MemorySegment small = rig.arena.allocate(bytes, 1);
            assertThatThrownBy(() -> rig.stream.save(run.slab, small))
                    .as("save into %d bytes", bytes)
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }
}
