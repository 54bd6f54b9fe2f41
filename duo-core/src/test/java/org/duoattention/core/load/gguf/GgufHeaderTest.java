package org.duoattention.core.load.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.CheckpointFiles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a header may say, and every lie that is refused. */
class GgufHeaderTest {
    private static final long HUGE = Long.MAX_VALUE;

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void versionsTwoAndThreeAreRead(int version) {
        GgufWriter writer = new GgufWriter()
                .version(version)
                .uint32("a.count", 7)
                .entry("a.long", GgufWriter.UINT64, new GgufWriter.Bytes().int64(1L << 40))
                .entry("a.byte", GgufWriter.UINT8, new GgufWriter.Bytes().int8(200))
                .float32("a.number", 0.5)
                .bool("a.flag", true)
                .string("a.text", "z\u00fcrich")
                .strings("a.words", List.of("x", "", "yz"))
                .integers("a.ids", 3, -1)
                .floats("a.scores", 1.5f, -2f)
                .tensor("one", 0, new long[] {2, 3}, new byte[24])
                .tensor("two", 8, new long[] {1, 64}, new byte[68]);
        try (Arena arena = Arena.ofShared()) {
            GgufHeader header = map(writer.build(), arena).header();
            GgufMetadata metadata = header.metadata();

            assertThat(metadata.requiredInteger("a.count", 0, 10)).isEqualTo(7);
            assertThat(metadata.integer("a.long", 0, HUGE)).hasValue(1L << 40);
            assertThat(metadata.integer("a.byte", 0, 255)).hasValue(200);
            assertThat(metadata.number("a.number", 0, 1)).hasValue(0.5);
            assertThat(metadata.number("a.count", 0, 10)).hasValue(7);
            assertThat(metadata.bool("a.flag", false)).isTrue();
            assertThat(metadata.string("a.text")).hasValue("z\u00fcrich");
            assertThat(metadata.strings("a.words", 3)).containsExactly("x", "", "yz");
            assertThat(metadata.integers("a.ids", 3)).containsExactly(3, -1);
            assertThat(metadata.floats("a.scores", 3)).containsExactly(1.5f, -2f);
            assertThat(header.tensors().keySet()).containsExactly("one", "two");
            assertThat(header.tensors().get("one").shape()).containsExactly(2, 3);
            assertThat(header.tensors().get("two").type()).isEqualTo(GgufType.Q8_0);
            assertThat(header.tensors().get("two").offset()).isEqualTo(32);
            assertThat(header.dataStart() % 32).isZero();
        }
    }

    @Test
    void bigEndianFilesAreRefused() {
        byte[] bytes = minimal().build();
        ByteBuffer.wrap(bytes).order(ByteOrder.BIG_ENDIAN).putInt(4, 3);
        refused(bytes, "big-endian", "little-endian");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 4, -1})
    void otherVersionsAreRefused(int version) {
        refused(minimal().version(version).build(), Integer.toUnsignedString(version), "2 or 3");
    }

    @Test
    void otherFilesAreRefused() {
        byte[] bytes = minimal().build();
        bytes[0] = 'X';
        refused(bytes, "does not start with GGUF");
        refused(new byte[10], "10 bytes", "24");
    }

    @Test
    void truncationAnywhereIsRefused() {
        byte[] bytes = minimal().build();
        for (int length = 24; length < bytes.length; length++) {
            refused(Arrays.copyOf(bytes, length), "download it again");
        }
    }

    @Test
    void countsThatLieAreRefused() {
        GgufWriter writer = minimal();
        for (long count : new long[] {1_000, 1L << 33, HUGE, -1}) {
            refused(writer.header(count, 1), Long.toUnsignedString(count));
            refused(writer.header(1, count), Long.toUnsignedString(count));
        }
    }

    @Test
    void lengthsThatLieAreRefused() {
        for (long length : new long[] {1_000, 1L << 33, HUGE, -1}) {
            refused(
                    new GgufWriter()
                            .entry("k", GgufWriter.STRING, new GgufWriter.Bytes().int64(length))
                            .header(),
                    Long.toUnsignedString(length));
            refused(
                    new GgufWriter()
                            .entry(
                                    "k",
                                    GgufWriter.ARRAY,
                                    new GgufWriter.Bytes()
                                            .int32(GgufWriter.UINT8)
                                            .int64(length))
                            .header(),
                    Long.toUnsignedString(length));
            refused(
                    new GgufWriter()
                            .entry(
                                    "k",
                                    GgufWriter.ARRAY,
                                    new GgufWriter.Bytes()
                                            .int32(GgufWriter.STRING)
                                            .int64(1)
                                            .int64(length))
                            .header(),
                    Long.toUnsignedString(length));
        }
    }

    @Test
    void nestingHasALimit() {
        GgufWriter.Bytes deep = new GgufWriter.Bytes();
        for (int i = 0; i < 1_000; i++) {
            deep.int32(GgufWriter.ARRAY).int64(1);
        }
        refused(new GgufWriter().entry("k", GgufWriter.ARRAY, deep).header(), "nests arrays");
    }

    @Test
    void unknownTypesAreRefused() {
        refused(new GgufWriter().entry("k", 13, new GgufWriter.Bytes().int64(0)).header(), "type 13", "0 to 12");
        refused(new GgufWriter().info("t", 4, 0, 32).build(), "type number 4");
    }

    @Test
    void whatOccursTwiceIsRefused() {
        refused(new GgufWriter().uint32("k", 1).uint32("k", 2).header(), "k occurs twice");
        refused(
                new GgufWriter()
                        .tensor("t", 0, new long[] {4}, new byte[16])
                        .tensor("t", 0, new long[] {4}, new byte[16])
                        .build(),
                "t is listed twice");
    }

    @Test
    void shapesThatCannotBeAreRefused() {
        refused(new GgufWriter().info("t", 0, 0, 0).build(), "extent of 0");
        refused(new GgufWriter().info("t", 0, 0, -1).build(), "extent of 18446744073709551615");
        refused(new GgufWriter().info("t", 0, 0).build(), "0 dimensions");
        refused(new GgufWriter().info("t", 0, 0, 1, 1, 1, 1, 1).build(), "5 dimensions");
        refused(new GgufWriter().info("t", 0, 0, 1L << 40, 1L << 40).build(), "64 bits");
        refused(new GgufWriter().info("t", 8, 0, 33).build(), "Q8_0", "33", "multiple of 32");
    }

    @Test
    void placesThatCannotBeAreRefused() {
        refused(new GgufWriter().info("t", 0, 1 << 20, 4).build(), "16 bytes from byte 1048576");
        refused(new GgufWriter().info("t", 0, 0, 1 << 20).build(), "4194304 bytes from byte 0");
        refused(new GgufWriter().info("t", 0, 7, 4).build(), "byte 7", "multiple of 32");
        refused(new GgufWriter().info("t", 0, -32, 4).build(), "multiple of 32");
        refused(
                new GgufWriter()
                        .tensor("a", 0, new long[] {16}, new byte[64])
                        .info("b", 0, 32, 4)
                        .build(),
                "b begins at byte 32",
                "another tensor");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 3, 33, 1 << 21})
    void alignmentsThatCannotBeAreRefused(long alignment) {
        refused(new GgufWriter().uint32("general.alignment", alignment).header(), "general.alignment", "" + alignment);
    }

    @Test
    void alignmentIsHonoured() {
        byte[] bytes = new GgufWriter()
                .alignment(256)
                .tensor("a", 0, new long[] {1}, new byte[4])
                .tensor("b", 0, new long[] {1}, new byte[] {0, 0, (byte) 0x80, 0x3f})
                .build();
        try (Arena arena = Arena.ofShared()) {
            GgufFile file = map(bytes, arena);
            assertThat(file.header().tensors().get("b").offset()).isEqualTo(256);
            assertThat(file.bytes(file.header().tensors().get("b")).toArray(ValueLayout.JAVA_BYTE))
                    .containsExactly(0, 0, 0x80, 0x3f);
        }
    }

    @Test
    void valuesOfAnotherKindAreRefused() {
        GgufWriter writer = new GgufWriter()
                .string("text", "x")
                .uint32("count", 70_000)
                .float32("nan", Float.NaN)
                .entry("flag", GgufWriter.BOOL, new GgufWriter.Bytes().int8(2))
                .entry("huge", GgufWriter.UINT64, new GgufWriter.Bytes().int64(-1))
                .entry(
                        "latin",
                        GgufWriter.STRING,
                        new GgufWriter.Bytes().int64(1).int8(0xe9))
                .integers("ids", 1, 2, 3);
        try (Arena arena = Arena.ofShared()) {
            GgufMetadata metadata = map(writer.build(), arena).header().metadata();
            refused(() -> metadata.integer("text", 0, 1), "text", "a string", "an integer from 0 to 1");
            refused(() -> metadata.integer("count", 0, 100), "count", "70000", "100");
            refused(() -> metadata.integer("huge", 0, HUGE), "huge", "18446744073709551615");
            refused(() -> metadata.number("nan", 0, 1), "nan", "NaN");
            refused(() -> metadata.bool("flag", true), "flag", "2");
            refused(() -> metadata.string("latin"), "latin", "UTF-8");
            refused(() -> metadata.string("ids"), "ids", "an array of int32", "a string");
            refused(() -> metadata.integers("ids", 2), "ids", "an array of 3", "at most 2");
            refused(() -> metadata.strings("ids", 3), "ids", "strings");
            refused(() -> metadata.requiredInteger("absent", 0, 1), "absent", "missing");
        }
    }

    private static GgufWriter minimal() {
        return new GgufWriter().string("k", "v").tensor("t", 0, new long[] {4}, new byte[16]);
    }

    private void refused(byte[] bytes, String... parts) {
        try (Arena arena = Arena.ofShared()) {
            refused(() -> map(bytes, arena), parts);
        }
    }

    private static void refused(ThrowingCallable reading, String... parts) {
        assertThatThrownBy(reading)
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("m.gguf")
                .hasMessageContainingAll(parts);
    }

    private GgufFile map(byte[] bytes, Arena arena) {
        Path file = directory.resolve("m.gguf");
        CheckpointFiles.write(file, bytes);
        return GgufFile.map(file, arena);
    }
}
