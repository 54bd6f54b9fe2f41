package org.duoattention.core.session;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.json.JsonObject;
import org.jspecify.annotations.Nullable;

/**
 * A file that {@link Session#save} wrote: the tokens of a session, the settings that it had, and its cache, so that a long
 * prefill is done once. What is read here is the beginning of the file; the cache itself is read by {@link
 * Session#restore}.
 *
 * <p>The file, little-endian: eight bytes {@code DUOCACHE}; a 32-bit version; the 32-bit length of the header; the header, a
 * JSON object; the tokens, 32 bits each; the logits after the last of them if they are there, F32; the CRC-32C of all of
 * this as 64 bits; then the slabs as the backend writes them, each beginning at a multiple of 64 bytes.
 *
 * @see <a href="https://github.com/ggml-org/llama.cpp">llama.cpp's {@code --prompt-cache}, the same idea</a>
 */
public final class SavedSession {
    static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final long MAGIC = 0x4548_4341_434f_5544L;
    static final int VERSION = 1;
    static final long HEADER_AT = 16;
    static final String SETTINGS = "settings";
    static final String TOKENS = "tokens";
    static final String LOGITS = "logits";
    static final String SLABS = "slabBytes";
    static final String COMPLETE = "complete";
    static final String MAX_CONTEXT = "maxContext";
    /** Far more than the settings and slabs of any model take. */
    private static final int MAX_HEADER = 16 << 20;

    private final Path file;
    private final Map<String, String> settings;
    private final boolean complete;
    private final int[] tokens;
    private final float @Nullable [] logits;
    private final long[] slabBytes;
    private final long slabsAt;

    private SavedSession(
            Path file,
            Map<String, String> settings,
            boolean complete,
            int[] tokens,
            float @Nullable [] logits,
            long[] slabBytes,
            long slabsAt) {
        this.file = file;
        this.settings = settings;
        this.complete = complete;
        this.tokens = tokens;
        this.logits = logits;
        this.slabBytes = slabBytes;
        this.slabsAt = slabsAt;
    }

    /**
     * Reads the beginning of a file, and checks that the file is as long as it says.
     *
     * @throws DuoException when the file cannot be read, is damaged, or is something else
     */
    public static SavedSession read(Path file) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
                Arena arena = Arena.ofConfined()) {
            return read(file, channel.map(MapMode.READ_ONLY, 0, channel.size(), arena));
        } catch (IOException e) {
            throw new DuoException(file + ": cannot be read: " + e.getMessage(), e);
        }
    }

    private static SavedSession read(Path file, MemorySegment bytes) {
        if (bytes.byteSize() < HEADER_AT || bytes.get(I64, 0) != MAGIC) {
            throw new DuoException(file + ": is not a saved session");
        }
        if (bytes.get(I32, 8) != VERSION) {
            throw new DuoException(file + ": has version " + bytes.get(I32, 8)
                    + " of the format, this program reads version " + VERSION + "; save the session anew");
        }
        int headerBytes = bytes.get(I32, 12);
        if (headerBytes < 2 || headerBytes > MAX_HEADER || headerBytes > bytes.byteSize() - HEADER_AT) {
            throw damaged(file, null);
        }
        JsonObject header;
        int tokenCount;
        int logitCount;
        try {
            header = JsonFile.object(file, bytes.asSlice(HEADER_AT, headerBytes).toArray(ValueLayout.JAVA_BYTE));
            tokenCount = header.requiredInteger(TOKENS, 0, Session.MAX_TOKENS);
            logitCount = header.requiredInteger(LOGITS, 0, Session.MAX_TOKENS);
        } catch (DuoException e) {
            throw damaged(file, e);
        }
        long dataAt = HEADER_AT + headerBytes;
        long checksumAt = dataAt + 4L * tokenCount + 4L * logitCount;
        if (checksumAt + 8 > bytes.byteSize() || bytes.get(I64, checksumAt) != checksum(bytes.asSlice(0, checksumAt))) {
            throw damaged(file, null);
        }
        int[] tokens = new int[tokenCount];
        MemorySegment.copy(bytes, I32, dataAt, tokens, 0, tokenCount);
        float[] logits = new float[logitCount];
        MemorySegment.copy(bytes, F32, dataAt + 4L * tokenCount, logits, 0, logitCount);
        long[] slabBytes = header.strings(SLABS).orElse(List.of()).stream()
                .mapToLong(text -> slabSize(file, text, bytes.byteSize()))
                .toArray();
        Map<String, String> settings = new TreeMap<>();
        header.object(SETTINGS)
                .ifPresent(object -> object.toMap().forEach((key, value) -> settings.put(key, String.valueOf(value))));
        SavedSession saved = new SavedSession(
                file,
                settings,
                header.bool(COMPLETE, false),
                tokens,
                logitCount == 0 ? null : logits,
                slabBytes,
                aligned(checksumAt + 8));
        if (saved.bytes() != bytes.byteSize()) {
            throw new DuoException(file + ": should have " + saved.bytes() + " bytes, it has " + bytes.byteSize()
                    + "; delete it and save the session anew");
        }
        return saved;
    }

    /** The size of a slab: no larger than the file, so that the sum of all, which is compared with it, cannot overflow. */
    private static long slabSize(Path file, String text, long most) {
        try {
            long value = Long.parseLong(text);
            if (value >= 0 && value <= most) {
                return value;
            }
            throw damaged(file, null);
        } catch (NumberFormatException e) {
            throw damaged(file, e);
        }
    }

    private static DuoException damaged(Path file, @Nullable Throwable cause) {
        return new DuoException(file + ": is damaged or incomplete; delete it and save the session anew", cause);
    }

    static long checksum(MemorySegment bytes) {
        CRC32C crc = new CRC32C();
        for (long at = 0; at < bytes.byteSize(); at += 1 << 20) {
            crc.update(
                    bytes.asSlice(at, Math.min(1 << 20, bytes.byteSize() - at)).asByteBuffer());
        }
        return crc.getValue();
    }

    static long aligned(long offset) {
        return (offset + 63) / 64 * 64;
    }

    private long bytes() {
        long at = slabsAt;
        for (long size : slabBytes) {
            at = aligned(at) + size;
        }
        return at;
    }

    /** The tokens whose keys and values the cache holds, from the first on; a copy. */
    public int[] tokens() {
        return tokens.clone();
    }

    /** Tokens in the cache. */
    public int length() {
        return tokens.length;
    }

    /** Whether the logits after the last token are there, so that generation can begin at once. */
    public boolean hasLogits() {
        return logits != null;
    }

    /** Whether the session was saved where it was meant to be, not in the middle of a prefill that was interrupted. */
    public boolean complete() {
        return complete;
    }

    /** The longest context of the session that was saved; the session that it is restored into has the same. */
    public long maxContext() {
        try {
            return Long.parseLong(settings.getOrDefault(MAX_CONTEXT, ""));
        } catch (NumberFormatException e) {
            throw damaged(file, e);
        }
    }

    /** How many of the first tokens are those of a prompt. */
    public int commonPrefix(int[] prompt) {
        int most = Math.min(prompt.length, tokens.length);
        int common = Arrays.mismatch(prompt, 0, most, tokens, 0, most);
        return common < 0 ? most : common;
    }

    float @Nullable [] logits() {
        return logits;
    }

    /** Refuses a session with other settings: its cache would mean something else. */
    void requireSettings(Map<String, String> expected) {
        for (Map.Entry<String, String> setting : expected.entrySet()) {
            String stored = settings.get(setting.getKey());
            if (!setting.getValue().equals(stored)) {
                throw new DuoException(file + ": was saved with " + setting.getKey() + " " + stored
                        + ", this session has " + setting.getValue() + "; use the same settings, or another file");
            }
        }
    }

    /** Refuses tokens, logits or slabs that a session of a model cannot have. */
    void requireContent(int vocabulary, int slabs) {
        if (Arrays.stream(tokens).anyMatch(id -> id < 0 || id >= vocabulary)
                || tokens.length > maxContext()
                || logits != null && (logits.length != vocabulary || tokens.length == 0)) {
            throw damaged(file, null);
        }
        if (slabBytes.length != slabs) {
            throw new DuoException(file + ": holds " + slabBytes.length + " slabs, this session has " + slabs
                    + "; it is of another version of the cache policy: save the session anew");
        }
    }

    /** Hands the slabs' bytes, mapped, to a reader; they are valid during the call. */
    void slabs(Consumer<List<MemorySegment>> reader) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
                Arena arena = Arena.ofShared()) {
            if (Files.size(file) != bytes()) {
                throw damaged(file, null);
            }
            List<MemorySegment> segments = new ArrayList<>();
            long at = slabsAt;
            for (long size : slabBytes) {
                at = aligned(at);
                segments.add(channel.map(MapMode.READ_ONLY, at, size, arena));
                at += size;
            }
            reader.accept(segments);
        } catch (IOException e) {
            throw new DuoException(file + ": cannot be read: " + e.getMessage(), e);
        }
    }
}
