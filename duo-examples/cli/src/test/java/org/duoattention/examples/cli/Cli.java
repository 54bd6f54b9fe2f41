package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Runs the command line within the test's process. */
final class Cli {
    /** The checkpoint that the product embeds, as it lies in the build directory. */
    static final Path NANO = EmbeddedModel.open().directory();

    /** Where checkpoints and texts from outside the project lie, which may be absent. */
    static final Path SHARED = Path.of(System.getProperty("duo.shared", "../../../shared"));

    private Cli() {}

    /**
     * What a run left.
     *
     * @param code exit code
     * @param out standard output
     * @param err standard error
     */
    record Result(int code, String out, String err) {
        Result ok() {
            assertThat(code).as("exit code; stderr: %s", err).isZero();
            return this;
        }

        /** The one sentence of a bad-input error. */
        String sentence() {
            assertThat(code).as("exit code; stderr: %s", err).isEqualTo(ExitCode.USER_ERROR);
            assertThat(out).isEmpty();
            assertThat(err.lines()).as("stderr").hasSize(1);
            assertThat(err).startsWith("duo: ").doesNotContain("Exception", "\tat ");
            return err.strip();
        }

        JsonNode json() {
            return JsonMapper.shared().readTree(out);
        }
    }

    static Result run(String... args) {
        return runWith("", args);
    }

    static Result runWith(String input, String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Console console = new Console(
                new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)),
                new PrintStream(out, false, StandardCharsets.UTF_8),
                new PrintStream(err, false, StandardCharsets.UTF_8),
                false);
        int code = DuoCommand.run(console, args);
        return new Result(code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }
}
