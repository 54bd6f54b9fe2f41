package org.duoattention.core.load.gguf;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.duoattention.core.DuoException;

/** Reads the little-endian values of a mapped file one after the other and never past its end. */
final class GgufCursor {
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path file;
    private final MemorySegment data;
    private long position;

    GgufCursor(Path file, MemorySegment data, long position) {
        this.file = file;
        this.data = data;
        this.position = position;
    }

    Path file() {
        return file;
    }

    MemorySegment data() {
        return data;
    }

    long position() {
        return position;
    }

    long remaining() {
        return data.byteSize() - position;
    }

    /** Passes over bytes, which must be there. */
    void skip(long bytes, String what) {
        require(bytes, what);
        position += bytes;
    }

    int int8(String what) {
        return data.get(ValueLayout.JAVA_BYTE, take(1, what));
    }

    int int16(String what) {
        return data.get(I16, take(2, what));
    }

    int int32(String what) {
        return data.get(I32, take(4, what));
    }

    long uint32(String what) {
        return Integer.toUnsignedLong(int32(what));
    }

    long int64(String what) {
        return data.get(I64, take(8, what));
    }

    /** A count or length of things that take at least {@code least} bytes each, and so must fit the rest of the file. */
    long count(long least, String what) {
        long count = int64(what);
        if (count < 0 || count > remaining() / least) {
            throw new DuoException(file + ": claims " + Long.toUnsignedString(count) + " for " + what + ", but only "
                    + remaining() + " bytes follow; the file is damaged or truncated, download it again");
        }
        return count;
    }

    /** A string: its length in bytes, then UTF-8. */
    String string(int maxBytes, String what) {
        long length = count(1, "the length of " + what);
        if (length > maxBytes) {
            throw new DuoException(file + ": " + what + " has " + length + " bytes, at most " + maxBytes
                    + " are read; check that the file is what it should be");
        }
        byte[] bytes = data.asSlice(take(length, what), length).toArray(ValueLayout.JAVA_BYTE);
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new DuoException(
                    file + ": " + what + " is not UTF-8 text; the file is damaged, download it again", e);
        }
    }

    /** Passes over a string. */
    void skipString(String what) {
        skip(count(1, "the length of " + what), what);
    }

    private long take(long bytes, String what) {
        require(bytes, what);
        long at = position;
        position += bytes;
        return at;
    }

    private void require(long bytes, String what) {
        if (bytes < 0 || bytes > remaining()) {
            throw new DuoException(file + ": ends within " + what + ", at byte " + data.byteSize()
                    + "; the file is damaged or truncated, download it again");
        }
    }
}
