package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.SplittableRandom;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;

/** A stream, host memory, and a list of what to close after one test. */
final class Rig implements AutoCloseable {
    /** What guard rows and columns hold. */
    static final double SENTINEL = -7777.25;

    private static final byte GUARD = 0x5a;
    private static final int GUARD_BYTES = 64;

    final Device device;
    final ComputeStream stream;
    final Arena arena = Arena.ofShared();
    final SplittableRandom random = new SplittableRandom(20241010);
    private final Deque<AutoCloseable> open = new ArrayDeque<>();

    Rig(Device device) {
        this.device = device;
        this.stream = device.openStream();
    }

    double[] random(DType dtype, int count, double magnitude) {
        return Numbers.random(dtype, count, magnitude, random);
    }

    /** Registers something to be closed at the end. */
    <T extends AutoCloseable> T closing(T resource) {
        open.push(resource);
        return resource;
    }

    Tensor zeros(DType dtype, long... shape) {
        return closing(device.allocate(TensorSpec.of(dtype, shape)));
    }

    /** A device tensor with the given numbers. */
    Tensor tensor(DType dtype, double[] numbers, long... shape) {
        Tensor tensor = zeros(dtype, shape);
        stream.upload(host(dtype, numbers), tensor);
        return tensor;
    }

    /** An F32 device tensor with the given numbers. */
    Tensor activation(double[] numbers, long... shape) {
        return tensor(DType.F32, numbers, shape);
    }

    /** An adopted weight: read-only, at an odd address. */
    Tensor weight(DType dtype, double[] numbers, long... shape) {
        TensorSpec spec = TensorSpec.of(dtype, shape);
        MemorySegment odd = arena.allocate(spec.byteSize() + 1, 16).asSlice(1);
        odd.copyFrom(host(dtype, numbers));
        return closing(device.adopt(new HostTensor(spec, odd.asReadOnly())));
    }

    Slab slab(SlabSpec spec) {
        return closing(device.allocate(spec));
    }

    /** Host memory with the given numbers. */
    MemorySegment host(DType dtype, double[] numbers) {
        MemorySegment segment = arena.allocate((long) numbers.length * dtype.bytes(), 16);
        for (int i = 0; i < numbers.length; i++) {
            HostNumbers.set(dtype, segment, i, numbers[i]);
        }
        return segment;
    }

    /** The numbers of a tensor, downloaded to an odd address between guard bytes that must stay. */
    double[] download(Tensor tensor) {
        HostTarget target = new HostTarget(tensor.spec().byteSize());
        stream.download(tensor, target.segment);
        stream.synchronize();
        target.checkGuards("a download of " + tensor.spec());
        double[] numbers = new double[(int) tensor.spec().elements()];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = HostNumbers.get(tensor.spec().dtype(), target.segment, i);
        }
        return numbers;
    }

    /** Host memory at an odd address between guard bytes that must stay; guard bytes too until something is written. */
    final class HostTarget {
        final MemorySegment segment;
        private final MemorySegment memory;

        HostTarget(long bytes) {
            memory = arena.allocate(bytes + 2 * GUARD_BYTES + 1, 16);
            memory.fill(GUARD);
            segment = memory.asSlice(GUARD_BYTES + 1, bytes);
        }

        void checkGuards(String what) {
            assertThat(onlyGuards(memory.asSlice(0, GUARD_BYTES + 1)))
                    .as("the bytes before the target of %s are untouched", what)
                    .isTrue();
            assertThat(onlyGuards(memory.asSlice(GUARD_BYTES + 1 + segment.byteSize())))
                    .as("the bytes after the target of %s are untouched", what)
                    .isTrue();
        }

        void checkUntouched(String what) {
            assertThat(onlyGuards(memory))
                    .as("the target of %s is untouched", what)
                    .isTrue();
        }
    }

    private static boolean onlyGuards(MemorySegment bytes) {
        for (byte b : bytes.toArray(ValueLayout.JAVA_BYTE)) {
            if (b != GUARD) {
                return false;
            }
        }
        return true;
    }

    /** An F32 tensor of sentinels with one row more before and after the rows that a test writes. */
    Guarded guarded(int rows, int width) {
        double[] sentinels = new double[(rows + 2) * width];
        Arrays.fill(sentinels, SENTINEL);
        return new Guarded(activation(sentinels, rows + 2, width), rows, width);
    }

    /** As {@link #guarded(int, int)}, with numbers in the rows between. */
    Guarded guarded(double[] numbers, int rows, int width) {
        Guarded guarded = guarded(rows, width);
        stream.upload(host(DType.F32, numbers), guarded.rows());
        return guarded;
    }

    /** A tensor between guard rows. */
    final class Guarded {
        private final Tensor whole;
        private final Tensor rows;
        private final int width;

        private Guarded(Tensor whole, int rows, int width) {
            this.whole = whole;
            this.rows = whole.rows(1, rows);
            this.width = width;
        }

        Tensor rows() {
            return rows;
        }

        /** The numbers of the rows, after a check that the guard rows are as they were. */
        double[] numbers(String what) {
            double[] all = download(whole);
            double[] sentinels = new double[width];
            Arrays.fill(sentinels, SENTINEL);
            assertThat(Arrays.copyOf(all, width))
                    .as("%s: the row before the output", what)
                    .isEqualTo(sentinels);
            assertThat(Arrays.copyOfRange(all, all.length - width, all.length))
                    .as("%s: the row after the output", what)
                    .isEqualTo(sentinels);
            return Arrays.copyOfRange(all, width, all.length - width);
        }
    }

    @Override
    public void close() throws Exception {
        while (!open.isEmpty()) {
            open.pop().close();
        }
        stream.close();
        arena.close();
    }
}
