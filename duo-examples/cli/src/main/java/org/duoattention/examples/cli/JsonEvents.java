package org.duoattention.examples.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Events of a long run as JSON, one object per line, written as they happen so that somebody can watch. */
final class JsonEvents implements AutoCloseable {
    private static final JsonMapper MAPPER = JsonMapper.shared();

    private final @Nullable PrintStream out;
    private final boolean owned;

    private JsonEvents(@Nullable PrintStream out, boolean owned) {
        this.out = out;
        this.owned = owned;
    }

    /**
     * Opens the file, which is emptied.
     *
     * @param target a file, {@code -} for standard output, or null for no events
     */
    static JsonEvents open(@Nullable String target, Console console) {
        if (target == null || target.equals("-")) {
            return new JsonEvents(target == null ? null : console.out(), false);
        }
        try {
            return new JsonEvents(
                    new PrintStream(Files.newOutputStream(Path.of(target)), false, StandardCharsets.UTF_8), true);
        } catch (IOException e) {
            throw new DuoException("--json " + target + " cannot be written: " + e.getMessage(), e);
        }
    }

    /** An event to be filled in. */
    static ObjectNode event(String name) {
        return MAPPER.createObjectNode().put("event", name);
    }

    void write(ObjectNode event) {
        if (out != null) {
            out.println(MAPPER.writeValueAsString(event));
            out.flush();
        }
    }

    @Override
    public void close() {
        if (owned && out != null) {
            out.close();
            if (out.checkError()) {
                throw new DuoException("--json: events could not be written; is the disk full?");
            }
        }
    }
}
