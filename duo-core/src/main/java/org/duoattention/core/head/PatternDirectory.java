package org.duoattention.core.head;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.json.JsonObject;
import org.duoattention.core.json.Quoted;
import org.jspecify.annotations.Nullable;

/**
 * Head patterns in the format in which the authors of DuoAttention publish them: a directory with {@code
 * full_attention_heads.tsv}, the scores, and {@code config.json}, which holds {@code sink_size}, {@code recent_size} and
 * whatever else the identification recorded.
 */
public final class PatternDirectory {
    /** The scores: layers x KV heads, tab-separated. */
    public static final String SCORES = "full_attention_heads.tsv";
    /** The sizes. */
    public static final String CONFIG = "config.json";

    private static final String SINK_SIZE = "sink_size";
    private static final String RECENT_SIZE = "recent_size";

    private PatternDirectory() {}

    /**
     * Reads a pattern; scores are clipped to 0..1.
     *
     * @throws DuoException when a file is missing or malformed
     */
    public static HeadPattern read(Path directory) {
        if (!Files.isDirectory(directory)) {
            throw new DuoException(
                    directory + ": no such directory; expected a head pattern with " + SCORES + " and " + CONFIG);
        }
        double[][] scores = HeadTable.read(directory.resolve(SCORES));
        JsonObject config = JsonFile.read(directory.resolve(CONFIG));
        int sinkSize = config.requiredInteger(SINK_SIZE, 0, Integer.MAX_VALUE);
        int recentSize = config.requiredInteger(RECENT_SIZE, 1, Integer.MAX_VALUE);
        Map<String, @Nullable Object> settings = config.toMap();
        settings.remove(SINK_SIZE);
        settings.remove(RECENT_SIZE);
        return new HeadPattern(scores, sinkSize, recentSize, settings);
    }

    /**
     * Writes a pattern, creating the directory when necessary. Each file appears whole or not at all, and both are ready
     * before the first one replaces an older one.
     *
     * @throws DuoException when the directory cannot be written
     */
    public static void write(Path directory, HeadPattern pattern) {
        Map<String, @Nullable Object> config = new LinkedHashMap<>();
        config.put(SINK_SIZE, pattern.sinkSize());
        config.put(RECENT_SIZE, pattern.recentSize());
        pattern.settings().forEach(config::putIfAbsent);
        Path scoresPart = directory.resolve(SCORES + ".part");
        Path configPart = directory.resolve(CONFIG + ".part");
        try {
            Files.createDirectories(directory);
            try {
                Files.writeString(scoresPart, HeadTable.format(pattern.rows()), StandardCharsets.US_ASCII);
                Files.writeString(configPart, JsonFile.format(config), StandardCharsets.UTF_8);
                Files.move(configPart, directory.resolve(CONFIG), StandardCopyOption.ATOMIC_MOVE);
                Files.move(scoresPart, directory.resolve(SCORES), StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(scoresPart);
                Files.deleteIfExists(configPart);
            }
        } catch (IOException e) {
            throw new DuoException(
                    directory + ": the head pattern cannot be written: " + Quoted.of(String.valueOf(e.getMessage()))
                            + "; choose a directory that can be written",
                    e);
        }
    }
}
