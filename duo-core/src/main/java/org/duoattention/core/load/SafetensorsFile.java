package org.duoattention.core.load;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * Maps one safetensors file: 8 bytes with the little-endian length of a JSON header, the header, then the data. As the
 * format demands, the tensors must cover the data without holes, overlaps or a rest.
 */
final class SafetensorsFile {
    private static final int LENGTH_BYTES = 8;
    /** The limit of the reference implementation. */
    private static final long MAX_HEADER_BYTES = 100_000_000;

    private SafetensorsFile() {}

    /**
     * The tensors of a file by name.
     *
     * @param arena owns the mapping
     * @throws DuoException when the file is missing, truncated or malformed
     */
    static Map<String, StoredTensor> map(Path file, Arena arena) {
        if (!Files.isRegularFile(file)) {
            throw new DuoException(file + ": no such file; check that the download is complete");
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long fileSize = channel.size();
            long headerLength = headerLength(file, channel, fileSize);
            Map<String, TensorHeader> headers = SafetensorsHeader.parse(file, readHeader(file, channel, headerLength));
            long dataStart = LENGTH_BYTES + headerLength;
            checkCoverage(file, headers, fileSize - dataStart);
            MemorySegment data = channel.map(FileChannel.MapMode.READ_ONLY, dataStart, fileSize - dataStart, arena);
            Map<String, StoredTensor> tensors = new LinkedHashMap<>();
            headers.forEach((name, header) -> tensors.put(
                    name, new StoredTensor(file, header, data.asSlice(header.begin(), header.end() - header.begin()))));
            return tensors;
        } catch (IOException e) {
            throw new DuoException(file + ": cannot be read: " + Quoted.of(String.valueOf(e.getMessage())), e);
        }
    }

    private static long headerLength(Path file, FileChannel channel, long fileSize) throws IOException {
        if (fileSize < LENGTH_BYTES) {
            throw new DuoException(file + ": has " + fileSize + " bytes, a safetensors file has at least "
                    + LENGTH_BYTES + "; download it again");
        }
        ByteBuffer buffer = ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        readFully(file, channel, buffer, 0);
        long length = buffer.getLong(0);
        if (length <= 0 || length > MAX_HEADER_BYTES) {
            throw new DuoException(file + ": claims a header of " + Long.toUnsignedString(length)
                    + " bytes, expected 1 to " + MAX_HEADER_BYTES + "; is it a safetensors file?");
        }
        if (length > fileSize - LENGTH_BYTES) {
            throw new DuoException(file + ": claims a header of " + length + " bytes but has only "
                    + (fileSize - LENGTH_BYTES) + " after the length; the file is truncated, download it again");
        }
        return length;
    }

    private static byte[] readHeader(Path file, FileChannel channel, long length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(Math.toIntExact(length));
        readFully(file, channel, buffer, LENGTH_BYTES);
        return buffer.array();
    }

    private static void readFully(Path file, FileChannel channel, ByteBuffer buffer, long start) throws IOException {
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, start + buffer.position()) < 0) {
                throw new DuoException(file + ": became shorter while it was read; download it again");
            }
        }
    }

    private static void checkCoverage(Path file, Map<String, TensorHeader> headers, long dataBytes) {
        List<Map.Entry<String, TensorHeader>> inOrder = new ArrayList<>(headers.entrySet());
        inOrder.sort(Comparator.comparingLong(
                        (Map.Entry<String, TensorHeader> e) -> e.getValue().begin())
                .thenComparingLong(e -> e.getValue().end()));
        long covered = 0;
        for (Map.Entry<String, TensorHeader> entry : inOrder) {
            TensorHeader header = entry.getValue();
            String tensor = file + ": tensor " + Quoted.of(entry.getKey());
            if (header.end() > dataBytes) {
                throw new DuoException(tensor + " ends at byte " + header.end() + " of the data, which has only "
                        + dataBytes + "; the file is truncated, download it again");
            }
            if (header.begin() != covered) {
                throw new DuoException(tensor + " begins at byte " + header.begin() + " of the data, expected "
                        + covered + "; tensors must follow each other without "
                        + (header.begin() < covered ? "overlap" : "holes"));
            }
            covered = header.end();
        }
        if (covered != dataBytes) {
            throw new DuoException(file + ": its tensors take " + covered + " bytes but the file holds " + dataBytes
                    + " bytes of data; download it again");
        }
    }
}
