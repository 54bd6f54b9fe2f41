package org.duoattention.core.tokenizer;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongFunction;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * A {@code tokenizer.json} run by the Hugging Face tokenizers library, without network.
 *
 * <p>A text is encoded in one call, whatever its length: where a text may be cut without changing its tokens depends on the
 * tokenizer. Five million characters take about ten seconds on one core and about 900 MB outside the heap while they last.
 */
public final class HuggingFaceTokenizer implements Tokenizer {
    private static final String FILE = "tokenizer.json";
    /** The largest known files are some 40 MB; more than this is not a tokenizer. */
    private static final long MAX_FILE_BYTES = 512L << 20;

    private final TokenizersLibrary library;
    private final TokenizerFile file;
    private final BitSet special;
    private final BitSet rawBytes;
    private final SpecialTokens specialTokens;
    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    /** The native tokenizer, 0 when closed; guarded by the lock. */
    private long handle;

    private HuggingFaceTokenizer(
            TokenizersLibrary library, TokenizerFile file, SpecialTokens specialTokens, long handle) {
        this.library = library;
        this.file = file;
        this.special = file.special();
        this.rawBytes = file.rawBytes();
        this.specialTokens = specialTokens;
        this.handle = handle;
    }

    /** Whether the checkpoint directory has a tokenizer that {@link #load} would read. */
    public static boolean isPresent(Path directory) {
        return Files.isRegularFile(directory.resolve(FILE));
    }

    /**
     * Loads {@code tokenizer.json} of a checkpoint directory, and the special tokens from {@code tokenizer_config.json} and
     * {@code special_tokens_map.json} where they exist.
     *
     * @throws DuoException if the file is missing or malformed, or the native library cannot be loaded
     */
    public static HuggingFaceTokenizer load(Path directory) {
        Path path = directory.resolve(FILE);
        if (!Files.isDirectory(directory)) {
            throw new DuoException(
                    directory + " is not a directory; expected a checkpoint directory with " + FILE + ".");
        }
        if (!Files.isRegularFile(path)) {
            throw new DuoException(directory + " has no " + FILE + "; add the checkpoint's tokenizer, or give token ids"
                    + " with --ids, which needs no tokenizer.");
        }
        return of(path.toString(), readText(path), SpecialTokens.load(directory));
    }

    /**
     * A tokenizer from the text of a {@code tokenizer.json}, for checkpoints that keep it in another form.
     *
     * @param origin where the text comes from, for messages
     * @param configured the special tokens by role
     * @throws DuoException if the text is malformed, or the native library cannot be loaded
     */
    public static HuggingFaceTokenizer of(String origin, String json, SpecialTokens configured) {
        TokenizerFile file = TokenizerFile.read(origin, json);
        Map<String, Integer> ids = new HashMap<>(configured.ids());
        ids.putAll(file.added());
        TokenizersLibrary library = NativeLibrary.get();
        long handle;
        try {
            handle = library.createTokenizerFromString(json);
        } catch (RuntimeException e) {
            throw new DuoException(
                    file.malformed(Quoted.of(String.valueOf(e.getMessage()))).getMessage(), e);
        }
        // The file may ask for truncation or padding to fixed lengths; neither has a place in long contexts.
        library.disableTruncation(handle);
        library.disablePadding(handle);
        return new HuggingFaceTokenizer(library, file, new SpecialTokens(configured.named(), ids), handle);
    }

    @Override
    public int[] encode(String text, boolean addSpecialTokens) {
        checkSurrogates(text);
        return locked(tokenizer -> {
            long encoding = library.encode(tokenizer, text, addSpecialTokens);
            long[] ids;
            try {
                ids = library.getTokenIds(encoding);
            } finally {
                library.deleteEncoding(encoding);
            }
            int[] result = new int[ids.length];
            for (int i = 0; i < ids.length; i++) {
                result[i] = Math.toIntExact(ids[i]);
            }
            return result;
        });
    }

    @Override
    public String decode(int[] ids, boolean skipSpecialTokens) {
        long[] wide = new long[ids.length];
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] < 0) {
                throw new DuoException("Token id " + ids[i] + " at position " + i + " is negative; expected 0 to "
                        + (vocabSize() - 1) + ".");
            }
            wide[i] = ids[i];
        }
        return locked(tokenizer -> library.decode(tokenizer, wide, skipSpecialTokens));
    }

    @Override
    public int vocabSize() {
        return file.vocabSize();
    }

    @Override
    public SpecialTokens specialTokens() {
        return specialTokens;
    }

    @Override
    public boolean isSpecial(int id) {
        return id >= 0 && special.get(id);
    }

    @Override
    public boolean isRawByte(int id) {
        return id >= 0 && rawBytes.get(id);
    }

    @Override
    public void close() {
        Lock exclusive = lock.writeLock();
        exclusive.lock();
        try {
            if (handle != 0) {
                library.deleteTokenizer(handle);
                handle = 0;
            }
        } finally {
            exclusive.unlock();
        }
    }

    private <T> T locked(LongFunction<T> use) {
        Lock shared = lock.readLock();
        shared.lock();
        try {
            if (handle == 0) {
                throw new IllegalStateException("The tokenizer is closed.");
            }
            return use.apply(handle);
        } finally {
            shared.unlock();
        }
    }

    private static String readText(Path path) {
        try {
            long bytes = Files.size(path);
            if (bytes > MAX_FILE_BYTES) {
                throw new DuoException(path + " has " + bytes + " bytes; expected at most " + MAX_FILE_BYTES + ".");
            }
            return Files.readString(path);
        } catch (IOException e) {
            throw new DuoException(
                    path + " cannot be read as UTF-8 text (" + e.getMessage() + "); take the file from the checkpoint"
                            + " again, or give token ids with --ids, which needs no tokenizer.",
                    e);
        }
    }

    private static void checkSurrogates(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isSurrogate(c)) {
                if (Character.isHighSurrogate(c)
                        && i + 1 < text.length()
                        && Character.isLowSurrogate(text.charAt(i + 1))) {
                    i++;
                } else {
                    throw new DuoException(
                            "The text has half of a surrogate pair at index " + i + "; expected well-formed Unicode.");
                }
            }
        }
    }
}
