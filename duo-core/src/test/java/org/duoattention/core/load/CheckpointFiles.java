package org.duoattention.core.load;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Safetensors files built byte by byte, so that they can be as wrong as a test wants. */
public final class CheckpointFiles {
    private CheckpointFiles() {}

    /** A file with the given header text and data. */
    public static byte[] safetensors(String header, byte... data) {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        return withLength(json.length, json, data);
    }

    /** A file that claims a header of {@code length} bytes. */
    public static byte[] withLength(long length, byte[] header, byte... data) {
        return ByteBuffer.allocate(8 + header.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(header)
                .put(data)
                .array();
    }

    /** One header entry. */
    public static String entry(String name, String dtype, String shape, long begin, long end) {
        return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" + begin + ","
                + end + "]}";
    }

    /** A single-file checkpoint directory. */
    public static void writeSingle(Path directory, byte[] file) {
        write(directory.resolve("model.safetensors"), file);
    }

    public static void write(Path file, byte[] bytes) {
        try {
            // A new file: some file systems flush one that is emptied and filled again, which takes milliseconds.
            Files.deleteIfExists(file);
            Files.write(file, bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public static void write(Path file, String text) {
        write(file, text.getBytes(StandardCharsets.UTF_8));
    }
}
