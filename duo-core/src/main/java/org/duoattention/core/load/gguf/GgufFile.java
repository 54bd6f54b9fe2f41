package org.duoattention.core.load.gguf;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * One mapped GGUF file. The file must not shrink while it is mapped; a read past the new end then fails with an {@link
 * InternalError}.
 *
 * @param path the file
 * @param header its header
 * @param data the whole file
 */
record GgufFile(Path path, GgufHeader header, MemorySegment data) {
    /** Magic number, version and two counts. */
    private static final int LEAST_BYTES = 24;

    /**
     * Maps a file and checks its header.
     *
     * @param arena owns the mapping
     * @throws DuoException when the file is missing, truncated or malformed
     */
    static GgufFile map(Path path, Arena arena) {
        if (!Files.isRegularFile(path)) {
            throw new DuoException(path + ": no such file; check that the download is complete");
        }
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            long bytes = channel.size();
            if (bytes < LEAST_BYTES) {
                throw new DuoException(path + ": has " + bytes + " bytes, a GGUF file has at least " + LEAST_BYTES
                        + "; download it again");
            }
            MemorySegment data = channel.map(FileChannel.MapMode.READ_ONLY, 0, bytes, arena);
            return new GgufFile(path, GgufHeader.scan(new GgufCursor(path, data, 0)), data);
        } catch (IOException e) {
            throw new DuoException(path + ": cannot be read: " + Quoted.of(String.valueOf(e.getMessage())), e);
        }
    }

    /** The bytes of one of its tensors. */
    MemorySegment bytes(GgufTensorInfo tensor) {
        return data.asSlice(header.dataStart() + tensor.offset(), tensor.bytes());
    }
}
