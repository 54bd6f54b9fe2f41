package org.duoattention.core.session;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.jspecify.annotations.Nullable;

/**
 * Writes the file that {@link SavedSession} describes. The backend writes the slabs straight into the mapped file, so that
 * saving takes no memory of its own; the file gets its name when it is complete.
 *
 * @param settings what a session that reads the file must have too
 * @param complete whether the session stands where it was meant to stand
 * @param tokens what is in the cache
 * @param logits after the last token, if they are there
 * @param slabBytes bytes of every slab
 */
record SessionFile(
        Map<String, String> settings, boolean complete, int[] tokens, float @Nullable [] logits, long[] slabBytes) {

    void write(Path file, Consumer<List<MemorySegment>> writer) {
        // Two processes that write the same file at once must not share its part.
        String unique = Long.toHexString(ThreadLocalRandom.current().nextLong());
        Path part = file.resolveSibling(file.getFileName() + "." + unique + ".part");
        try {
            try {
                writePart(file, part, writer);
                Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(part);
            }
        } catch (IOException e) {
            throw new DuoException(file + ": cannot be written: " + e.getMessage(), e);
        } catch (InternalError e) {
            // What writing to memory ends in that is mapped from a disk without room.
            throw new DuoException(file + ": cannot be written: the disk is full, or has failed", e);
        }
    }

    private void writePart(Path file, Path part, Consumer<List<MemorySegment>> writer) throws IOException {
        byte[] header = header();
        int logitCount = logits == null ? 0 : logits.length;
        long dataAt = SavedSession.HEADER_AT + header.length;
        long checksumAt = dataAt + 4L * tokens.length + 4L * logitCount;
        long total = SavedSession.aligned(checksumAt + 8);
        for (long size : slabBytes) {
            total = SavedSession.aligned(total) + size;
        }
        try (FileChannel channel = FileChannel.open(
                        part, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
                Arena arena = Arena.ofShared()) {
            long free = Files.getFileStore(part).getUsableSpace();
            if (free < total) {
                throw new DuoException(
                        file + ": needs " + total + " bytes, " + free + " are free; give a file on another disk");
            }
            MemorySegment bytes = channel.map(MapMode.READ_WRITE, 0, total, arena);
            bytes.set(SavedSession.I64, 0, SavedSession.MAGIC);
            bytes.set(SavedSession.I32, 8, SavedSession.VERSION);
            bytes.set(SavedSession.I32, 12, header.length);
            MemorySegment.copy(MemorySegment.ofArray(header), 0, bytes, SavedSession.HEADER_AT, header.length);
            MemorySegment.copy(tokens, 0, bytes, SavedSession.I32, dataAt, tokens.length);
            if (logits != null) {
                MemorySegment.copy(logits, 0, bytes, SavedSession.F32, dataAt + 4L * tokens.length, logitCount);
            }
            bytes.set(SavedSession.I64, checksumAt, SavedSession.checksum(bytes.asSlice(0, checksumAt)));
            List<MemorySegment> slabs = new ArrayList<>();
            long at = SavedSession.aligned(checksumAt + 8);
            for (long size : slabBytes) {
                at = SavedSession.aligned(at);
                slabs.add(bytes.asSlice(at, size));
                at += size;
            }
            writer.accept(slabs);
            bytes.force();
        }
    }

    private byte[] header() {
        Map<String, Object> header = new LinkedHashMap<>();
        header.put(SavedSession.SETTINGS, settings);
        header.put(SavedSession.COMPLETE, complete);
        header.put(SavedSession.TOKENS, tokens.length);
        header.put(SavedSession.LOGITS, logits == null ? 0 : logits.length);
        header.put(
                SavedSession.SLABS,
                Arrays.stream(slabBytes).mapToObj(Long::toString).toList());
        return JsonFile.format(header).getBytes(StandardCharsets.UTF_8);
    }
}
