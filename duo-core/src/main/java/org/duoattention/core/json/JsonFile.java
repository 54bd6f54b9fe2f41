package org.duoattention.core.json;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Reads a file that holds one JSON object. Size, nesting and number lengths are bounded and a key may occur only once
 * per object. {@code NaN} and {@code Infinity}, which Python writes, are read; who asks for a number refuses them.
 */
public final class JsonFile {
    /** More than any real configuration file; keeps a wrong file from filling the heap. */
    private static final long MAX_BYTES = 32L << 20;

    private static final JsonMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(64)
                            .maxNumberLength(100)
                            .maxDocumentLength(MAX_BYTES)
                            .build())
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private JsonFile() {}

    /**
     * The object in a file.
     *
     * @throws DuoException when the file is missing, unreadable, too large, malformed, or holds something else
     */
    public static JsonObject read(Path file) {
        if (!Files.isRegularFile(file)) {
            throw new DuoException(file + ": no such file");
        }
        try (InputStream in = Files.newInputStream(file)) {
            if (Files.size(file) > MAX_BYTES) {
                throw new DuoException(file + ": " + Files.size(file) + " bytes are too many for a configuration file;"
                        + " at most " + MAX_BYTES + " are read");
            }
            return object(file, in.readAllBytes());
        } catch (IOException e) {
            throw new DuoException(file + ": cannot be read: " + Quoted.of(String.valueOf(e.getMessage())), e);
        }
    }

    /**
     * The object in some bytes of a file that holds other things too.
     *
     * @param file the file, for messages
     * @throws DuoException when they are malformed or hold something else
     */
    public static JsonObject object(Path file, byte[] bytes) {
        try {
            JsonNode node = MAPPER.readTree(bytes);
            if (!(node instanceof ObjectNode object)) {
                throw new DuoException(file + ": holds no JSON object; check that the download is complete");
            }
            return new JsonObject(file.toString(), "", object);
        } catch (JacksonException e) {
            throw new DuoException(
                    file + ": not valid JSON at " + JsonProblems.where(e) + "; check that the download is"
                            + " complete",
                    e);
        }
    }

    /** A node as strings, numbers, booleans, nulls, lists and maps. */
    static @Nullable Object plain(JsonNode node) {
        return MAPPER.treeToValue(node, Object.class);
    }

    /** A JSON object of plain values (strings, numbers, booleans, nulls, lists, maps) as indented text. */
    public static String format(Map<String, ? extends @Nullable Object> object) {
        return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(object) + "\n";
    }
}
