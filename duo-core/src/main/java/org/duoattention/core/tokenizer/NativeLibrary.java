package org.duoattention.core.tokenizer;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;

/**
 * Loads the native tokenizer library that DJL ships in its jar.
 *
 * <p>DJL unpacks the library (15 MB) into {@code DJL_CACHE_DIR} (environment variable, then system property) and would by
 * default write to {@code ~/.djl.ai}, look for GPU variants to download, and report its use on some cloud machines. Here it
 * unpacks into the user's cache folder, or where none is writable into a private temporary folder that is removed once the
 * library is mapped, and it is told to stay off the network while it loads. DJL's own {@code HuggingFaceTokenizer} is not
 * used: it calls home, and it copies six arrays and an object per token for every text, where only the ids are needed.
 */
final class NativeLibrary {
    private static final String CACHE = "DJL_CACHE_DIR";
    private static final String OFFLINE = "ai.djl.offline";
    private static boolean loaded;

    private NativeLibrary() {}

    static synchronized TokenizersLibrary get() {
        if (!loaded) {
            load();
            loaded = true;
        }
        return TokenizersLibrary.LIB;
    }

    private static void load() {
        @Nullable Path temporary = null;
        @Nullable String cacheBefore = System.getProperty(CACHE);
        String where = System.getenv(CACHE) != null ? System.getenv(CACHE) : String.valueOf(cacheBefore);
        @Nullable String offlineBefore = System.getProperty(OFFLINE);
        try {
            System.setProperty(OFFLINE, "true");
            if (System.getenv(CACHE) == null && cacheBefore == null) {
                where = System.getProperty("java.io.tmpdir");
                @Nullable Path cache = userCache();
                if (cache == null) {
                    temporary = Files.createTempDirectory("duo-tokenizers");
                    cache = temporary;
                }
                where = cache.toString();
                System.setProperty(CACHE, where);
            }
            LibUtils.checkStatus();
        } catch (RuntimeException | LinkageError | IOException e) {
            throw new DuoException(
                    "The native tokenizer library could not be unpacked to " + where + " and loaded (" + rootMessage(e)
                            + "); set DJL_CACHE_DIR to a writable folder from which libraries may be loaded, or give"
                            + " token ids with --ids, which needs no tokenizer.",
                    e);
        } finally {
            restore(CACHE, cacheBefore);
            restore(OFFLINE, offlineBefore);
            if (temporary != null) {
                delete(temporary);
            }
        }
    }

    private static @Nullable Path userCache() {
        @Nullable String xdg = System.getenv("XDG_CACHE_HOME");
        @Nullable String home = System.getProperty("user.home");
        if (xdg == null && home == null) {
            return null;
        }
        Path cache = (xdg != null && !xdg.isEmpty() ? Path.of(xdg) : Path.of(home + "/.cache")).resolve("duoattention");
        try {
            Files.createDirectories(cache);
            return Files.isWritable(cache) ? cache : null;
        } catch (IOException e) {
            return null;
        }
    }

    private static void restore(String property, @Nullable String before) {
        if (before == null) {
            System.clearProperty(property);
        } else {
            System.setProperty(property, before);
        }
    }

    private static void delete(Path folder) {
        try (Stream<Path> walk = Files.walk(folder)) {
            walk.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        } catch (IOException e) {
            // Some systems refuse to delete a mapped library; the system's own cleaning of temporary files gets it.
        }
    }

    private static String rootMessage(Throwable e) {
        Throwable root = e;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return String.valueOf(root.getMessage());
    }
}
