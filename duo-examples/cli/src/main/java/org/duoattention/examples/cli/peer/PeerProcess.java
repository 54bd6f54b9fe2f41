package org.duoattention.examples.cli.peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * A peer's program, which stays and answers requests: one JSON object per line each way, its own after {@code @@}. For use by
 * one thread.
 */
final class PeerProcess implements AutoCloseable {
    private static final String PREFIX = "@@";
    private static final int SECONDS_TO_END = 10;

    private final String peer;
    private final Process process;
    private final Path errors;
    private final BufferedReader answers;
    private final Writer requests;

    /**
     * Starts a program.
     *
     * @param peer its name for messages
     * @param errors file that takes its standard error, of which messages cite a line
     */
    PeerProcess(String peer, List<String> command, Path directory, Path errors) throws IOException {
        this.peer = peer;
        this.errors = errors;
        this.process = new ProcessBuilder(command)
                .directory(directory.toFile())
                .redirectError(errors.toFile())
                .start();
        this.answers = process.inputReader(StandardCharsets.UTF_8);
        this.requests = process.outputWriter(StandardCharsets.UTF_8);
    }

    /** A request of one operation. */
    static ObjectNode request(String operation) {
        return JsonMapper.shared().createObjectNode().put("op", operation);
    }

    /**
     * Sends a request and waits for the answer.
     *
     * @throws DuoException when the program refuses or ends
     */
    JsonNode ask(ObjectNode request) {
        try {
            requests.write(request + "\n");
            requests.flush();
        } catch (IOException e) {
            throw ended(e);
        }
        return answer();
    }

    /**
     * Waits for an answer.
     *
     * @throws DuoException when the program refuses or ends
     */
    JsonNode answer() {
        try {
            for (String line = answers.readLine(); line != null; line = answers.readLine()) {
                if (line.startsWith(PREFIX)) {
                    JsonNode answer = JsonMapper.shared().readTree(line.substring(PREFIX.length()));
                    if (answer.has("error")) {
                        throw new DuoException("--peer " + peer + ": "
                                + answer.path("error").asString().replaceAll("\\s+", " "));
                    }
                    return answer;
                }
            }
        } catch (IOException | JacksonException e) {
            throw ended(e);
        }
        throw ended(null);
    }

    private DuoException ended(@Nullable Throwable cause) {
        String reason = lastError().map(line -> ": " + line).orElse("");
        return new DuoException("--peer " + peer + " ended unexpectedly" + reason, cause);
    }

    private Optional<String> lastError() {
        try {
            List<String> lines = Files.readAllLines(errors);
            return lines.stream()
                    .filter(line -> line.contains("rror") || line.contains("Exception"))
                    .findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    @Override
    public void close() {
        process.destroy();
        try {
            if (!process.waitFor(SECONDS_TO_END, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
