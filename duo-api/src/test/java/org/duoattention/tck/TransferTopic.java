package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Uploads, downloads, row views and adopted tensors. */
abstract class TransferTopic extends BackendTopic {
    static Stream<Arguments> typesAndSizes() {
        return Stream.of(DType.F32, DType.F16, DType.BF16)
                .flatMap(dtype -> Stream.of(1, 7, 13, 127, 129).map(size -> Arguments.of(dtype, size)));
    }

    @ParameterizedTest
    @MethodSource("typesAndSizes")
    void uploadAndDownloadKeepEveryBit(DType dtype, int size) {
        double[] numbers = rig.random(dtype, size * 3, 100);
        Tensor tensor = rig.zeros(dtype, size, 3);
        MemorySegment odd = rig.arena.allocate(tensor.spec().byteSize() + 3, 16).asSlice(1);
        odd.asSlice(0, tensor.spec().byteSize()).copyFrom(rig.host(dtype, numbers));
        rig.stream.upload(odd.asSlice(0, tensor.spec().byteSize()).asReadOnly(), tensor);
        assertThat(rig.download(tensor)).isEqualTo(numbers);
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "F16", "BF16"})
    void allocatedTensorsAreZero(DType dtype) {
        try (Tensor dirty = device.allocate(TensorSpec.of(dtype, 129, 7))) {
            rig.stream.upload(rig.host(dtype, rig.random(dtype, 129 * 7, 1)), dirty);
        }
        assertThat(rig.download(rig.zeros(dtype, 129, 7))).containsOnly(0.0);
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "F16", "BF16"})
    void rowViewsTouchOnlyTheirRows(DType dtype) {
        double[] before = rig.random(dtype, 9 * 5, 1);
        Tensor tensor = rig.tensor(dtype, before, 9, 5);
        double[] rows = rig.random(dtype, 3 * 5, 1);
        Tensor view = tensor.rows(2, 5).rows(1, 3);
        assertThat(view.spec()).isEqualTo(TensorSpec.of(dtype, 3, 5));
        rig.stream.upload(rig.host(dtype, rows), view);
        view.close();
        double[] expected = before.clone();
        System.arraycopy(rows, 0, expected, 3 * 5, rows.length);
        assertThat(rig.download(tensor)).isEqualTo(expected);
        assertThat(rig.download(tensor.rows(3, 3))).isEqualTo(rows);
    }

    @Test
    void rowsThatDoNotExistAreRefused() {
        Tensor tensor = rig.zeros(DType.F32, 4, 3);
        for (long[] range :
                List.of(new long[] {-1, 1}, new long[] {0, 5}, new long[] {4, 1}, new long[] {1, -1}, new long[] {
                    2, Long.MAX_VALUE
                })) {
            assertThatThrownBy(() -> tensor.rows(range[0], range[1]))
                    .as("rows%s of 4", Arrays.toString(range))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @ParameterizedTest
    @MethodSource("typesAndSizes")
    void adoptedTensorsMayBeUnalignedAndReadOnly(DType dtype, int size) {
        double[] numbers = rig.random(dtype, size * 3, 100);
        Tensor weight = rig.weight(dtype, numbers, size, 3);
        assertThat(weight.spec()).isEqualTo(TensorSpec.of(dtype, size, 3));
        assertThat(rig.download(weight)).isEqualTo(numbers);
        assertThat(rig.download(weight.rows(size - 1, 1)))
                .isEqualTo(Arrays.copyOfRange(numbers, size * 3 - 3, size * 3));
    }

    @Test
    void adoptedTensorsAreNotWritten() {
        Tensor weight = rig.weight(DType.F32, rig.random(DType.F32, 12, 1), 4, 3);
        Tensor x = rig.activation(rig.random(DType.F32, 12, 1), 4, 3);
        MemorySegment numbers = rig.host(DType.F32, new double[12]);
        assertThatThrownBy(() -> rig.stream.upload(numbers, weight)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.add(weight, x)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.add(weight.rows(0, 4), x)).isInstanceOf(IllegalArgumentException.class);
    }

    @ParameterizedTest
    @EnumSource(names = {"F64", "I64", "I32", "I16", "I8", "U8", "BOOL"})
    void otherTypesAreNotAdopted(DType dtype) {
        TensorSpec spec = TensorSpec.of(dtype, 4, 3);
        HostTensor tensor = new HostTensor(spec, rig.arena.allocate(spec.byteSize()));
        assertThatThrownBy(() -> rig.closing(device.adopt(tensor))).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void adoptedHostMemoryDoesNotCountUnlessItWasUploaded() {
        long before = device.allocatedBytes();
        Tensor weight = rig.weight(DType.F32, new double[1024], 1024);
        assertThat(device.allocatedBytes() - before).isIn(0L, device.bytes(weight.spec()));
    }

    @Test
    void uploadReadsItsSourceBeforeItReturns() {
        double[] numbers = rig.random(DType.F32, 129, 1);
        Tensor tensor = rig.zeros(DType.F32, 129);
        MemorySegment source = rig.host(DType.F32, numbers);
        rig.stream.upload(source, tensor);
        source.fill((byte) 0x33);
        assertThat(rig.download(tensor)).isEqualTo(numbers);
    }

    @Test
    void operationsHappenInOrder() {
        double[] first = rig.random(DType.F32, 13, 1);
        double[] second = rig.random(DType.F32, 13, 1);
        Tensor tensor = rig.tensor(DType.F32, first, 13);
        MemorySegment early = rig.arena.allocate(13 * 4, 4);
        rig.stream.download(tensor, early);
        rig.stream.upload(rig.host(DType.F32, second), tensor);
        assertThat(rig.download(tensor)).isEqualTo(second);
        for (int i = 0; i < 13; i++) {
            assertThat(HostNumbers.get(DType.F32, early, i)).isEqualTo(first[i]);
        }
    }

    @Test
    void closingATensorOrAStreamFinishesQueuedWork() {
        double[] numbers = rig.random(DType.F32, 127, 1);
        MemorySegment target = rig.arena.allocate(127 * 4, 4);
        try (var stream = device.openStream();
                Tensor tensor = device.allocate(TensorSpec.of(DType.F32, 127))) {
            stream.upload(rig.host(DType.F32, numbers), tensor);
            stream.download(tensor, target);
            tensor.close();
            tensor.close();
        }
        for (int i = 0; i < 127; i++) {
            assertThat(HostNumbers.get(DType.F32, target, i)).isEqualTo(numbers[i]);
        }
    }

    @Test
    void transfersOfAnotherSizeAreRefused() {
        Tensor tensor = rig.zeros(DType.F32, 4, 3);
        for (long bytes : new long[] {0, 44, 47, 49, 52}) {
            MemorySegment segment = rig.arena.allocate(bytes + 1, 16).asSlice(0, bytes);
            assertThatThrownBy(() -> rig.stream.upload(segment, tensor))
                    .as("upload of %d bytes", bytes)
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> rig.stream.download(tensor, segment))
                    .as("download to %d bytes", bytes)
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }
}
