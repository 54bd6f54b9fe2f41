package org.duoattention.core.load.gguf;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * What precedes the data of a GGUF file: the metadata, and which tensor lies where. The layout is that of docs/gguf.md in
 * ggml-org/ggml; versions 2 and 3, which differ in nothing but that 3 allows big-endian files, which are refused.
 *
 * @param metadata the metadata
 * @param tensors tensors by name, in the order of the file; each lies within the data and none overlaps another
 * @param dataStart where the data starts in the file
 */
record GgufHeader(GgufMetadata metadata, Map<String, GgufTensorInfo> tensors, long dataStart) {
    private static final int MAGIC = 0x46554747;
    private static final int MAX_TENSORS = 300_000;
    private static final int DEFAULT_ALIGNMENT = 32;
    private static final int MAX_ALIGNMENT = 1 << 20;

    /** Reads the header of a whole mapped file, at the cursor. */
    static GgufHeader scan(GgufCursor cursor) {
        if (cursor.int32("the magic number") != MAGIC) {
            throw new DuoException(cursor.file() + ": does not start with GGUF; give a GGUF file, or the directory of a"
                    + " safetensors checkpoint");
        }
        checkVersion(cursor);
        long tensorCount = cursor.count(GgufTensorInfo.LEAST_BYTES, "the number of tensors");
        long entries = cursor.int64("the number of metadata entries");
        if (tensorCount > MAX_TENSORS || entries < 0) {
            throw new DuoException(cursor.file() + ": claims " + tensorCount + " tensors and "
                    + Long.toUnsignedString(entries) + " metadata entries, at most " + MAX_TENSORS
                    + " tensors are read; the file is damaged, download it again");
        }
        GgufMetadata metadata = GgufMetadata.scan(cursor, entries);
        Map<String, GgufTensorInfo> tensors = new LinkedHashMap<>();
        for (long i = 0; i < tensorCount; i++) {
            GgufTensorInfo tensor = GgufTensorInfo.scan(cursor, i);
            if (tensors.put(tensor.name(), tensor) != null) {
                throw new DuoException(cursor.file() + ": tensor " + Quoted.of(tensor.name())
                        + " is listed twice; the file is damaged, download it again");
            }
        }
        long alignment = alignment(metadata);
        long dataStart = tensors.isEmpty() ? cursor.position() : Math.ceilDiv(cursor.position(), alignment) * alignment;
        GgufHeader header = new GgufHeader(metadata, tensors, dataStart);
        header.checkPlaces(cursor, alignment);
        return header;
    }

    private static void checkVersion(GgufCursor cursor) {
        int version = cursor.int32("the version");
        if (version == 2 || version == 3) {
            return;
        }
        int swapped = Integer.reverseBytes(version);
        if (swapped == 2 || swapped == 3) {
            throw new DuoException(
                    cursor.file() + ": is a big-endian GGUF file, which is not supported; convert the model"
                            + " for a little-endian machine");
        }
        throw new DuoException(cursor.file() + ": has GGUF version " + Integer.toUnsignedString(version)
                + ", expected 2 or 3; convert the model again");
    }

    private static long alignment(GgufMetadata metadata) {
        String key = "general.alignment";
        long alignment = metadata.integer(key, 1, MAX_ALIGNMENT).orElse(DEFAULT_ALIGNMENT);
        if (Long.bitCount(alignment) != 1) {
            throw metadata.problem(key, String.valueOf(alignment), "a power of two");
        }
        return alignment;
    }

    private void checkPlaces(GgufCursor cursor, long alignment) {
        long dataBytes = Math.max(0, cursor.data().byteSize() - dataStart);
        long covered = 0;
        for (GgufTensorInfo tensor : tensors.values().stream()
                .sorted(Comparator.comparingLong(GgufTensorInfo::offset))
                .toList()) {
            String name = cursor.file() + ": tensor " + Quoted.of(tensor.name());
            if (tensor.offset() < 0 || tensor.offset() % alignment != 0) {
                throw new DuoException(name + " begins at byte " + Long.toUnsignedString(tensor.offset())
                        + " of the data, expected a multiple of " + alignment
                        + "; the file is damaged, download it again");
            }
            if (tensor.offset() > dataBytes || tensor.bytes() > dataBytes - tensor.offset()) {
                throw new DuoException(name + " takes " + tensor.bytes() + " bytes from byte " + tensor.offset()
                        + " of the data, which has only " + dataBytes
                        + "; the file is damaged or truncated, download it again");
            }
            if (tensor.offset() < covered) {
                throw new DuoException(name + " begins at byte " + tensor.offset()
                        + " of the data, where another tensor lies; the file is damaged, download it again");
            }
            covered = tensor.offset() + tensor.bytes();
        }
    }
}
