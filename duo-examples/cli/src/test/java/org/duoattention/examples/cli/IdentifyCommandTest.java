package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.PatternDirectory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class IdentifyCommandTest {
    @TempDir
    Path directory;

    private Path out;

    @BeforeEach
    void choose() {
        out = directory.resolve("heads");
    }

    private Cli.Result identify(String options) {
        return Cli.run(("identify --out " + out + " --context 192,256 --needles 2 --words 4 " + options).split(" "));
    }

    @Test
    void aPatternIsFoundWrittenAndRead() throws IOException {
        Path json = directory.resolve("events");
        Cli.Result result =
                identify("--steps 6 --lr 0.1 --recent 32 --json " + json).ok();

        assertThat(result.out()).contains("layer 3  ").contains("of 16 gates above 0.5");
        assertThat(result.err()).contains("identify: step 6 of 6").contains("tokens/s");
        assertThat(out.resolve("report.html")).content().contains("data:image/png", "<svg", "distance");
        HeadPattern pattern = PatternDirectory.read(out);
        assertThat(pattern.sinkSize()).isEqualTo(16);
        assertThat(pattern.recentSize()).isEqualTo(32);
        assertThat(pattern.settings()).containsKeys("model_fingerprint", "seed", "versions", "chunk", "final_distill");
        List<JsonNode> events = Files.readAllLines(json).stream()
                .map(line -> JsonMapper.shared().readTree(line))
                .toList();
        assertThat(events)
                .extracting(event -> event.get("event").stringValue())
                .containsExactly("plan", "begun", "step", "step", "step", "step", "step", "step", "saved", "done");
        assertThat(events.getLast().get("gates").get(3).get(3).doubleValue()).isEqualTo(pattern.score(3, 3));

        String generate = "generate --prompt It --max-new-tokens 2 --quiet --heads " + out + " --model ";
        assertThat(Cli.run((generate + Cli.NANO).split(" ")).ok().err()).doesNotContain("other weights");
        Path copy = directory.resolve("int8");
        Cli.run("quantize", "--model", Cli.NANO.toString(), "--weights", "int8", "--out", copy.toString())
                .ok();
        assertThat(Cli.run((generate + copy).split(" "))
                        .ok()
                        .err()
                        .lines()
                        .filter(line -> line.contains("other weights")))
                .hasSize(1);
    }

    @Test
    void aRunInTheDirectoryGoesOnOrIsRefused() {
        identify("--steps 3").ok();

        assertThat(identify("--steps 3").ok().err()).contains("going on after step 3 of 3");
        assertThat(identify("--steps 4").sentence())
                .contains(out.toString())
                .contains("num_steps is 3 there and 4 here");
    }

    @Test
    void aDirectoryThatAnotherProcessWorksInIsRefused() throws IOException {
        Files.createDirectories(out);
        try (FileChannel channel = FileChannel.open(
                        out.resolve(".duo.lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock lock = channel.lock()) {
            Cli.Result refused = identify("--steps 2 --quiet");
            assertThat(lock.isValid()).isTrue();
            assertThat(refused.sentence()).contains(out.toString()).contains("in use");
        }
        // The file of a process that is gone does not count.
        identify("--steps 2").ok();
    }

    @Test
    void aBackendWithoutGradientsIsRefusedAndOneThatHasThemNamed() throws IOException {
        Path services = Files.createDirectories(directory.resolve("path/META-INF/services"));
        Files.writeString(
                services.resolve(AttentionBackend.class.getName()), BackendWithoutGradients.class.getName() + "\n");
        ClassLoader before = Thread.currentThread().getContextClassLoader();
        try (URLClassLoader path =
                new URLClassLoader(new URL[] {directory.resolve("path").toUri().toURL()}, before)) {
            Thread.currentThread().setContextClassLoader(path);
            assertThat(identify("--steps 2 --backend no-gradients").sentence())
                    .contains("no-gradients", "gradients are not there", "cpu", "can");
        } finally {
            Thread.currentThread().setContextClassLoader(before);
        }
        assertThat(out).doesNotExist();
    }

    /** Refuses what needs gradients, as a backend that has none does. */
    public static final class BackendWithoutGradients implements AttentionBackend {
        @Override
        public String id() {
            return "no-gradients";
        }

        @Override
        public Probe probe(Requirements requirements) {
            return requirements.capabilities().contains(Capability.GRADIENTS)
                    ? new Probe.Unusable(List.of("gradients are not there"))
                    : new Probe.Usable(0, "nothing");
        }

        @Override
        public Device open(Map<String, String> options) {
            throw new IllegalStateException("must not be opened");
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--steps 0 | --steps is 0",
                "--lr nan | --lr is NaN",
                "--reg -1 | --reg is -1.0",
                "--labels some | --labels is 'some'",
                "--blend both | --blend is 'both'",
                "--save-every 0 | --save-every is 0",
                "--recent 300 | streaming heads that see",
                "--backend none | none"
            })
    void whatCannotBeDoneIsRefused(String options, String sentence) {
        assertThat(identify(options.replace("nan", "NaN")).sentence()).contains(sentence.strip());
        assertThat(out).doesNotExist();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--context 512 | --context is '512'",
                "--context 512,256 | --context is '512,256'",
                "--context 512,100000 | 100000 tokens",
                "--context 16,32 --recent 8 --sink 2 | too short"
            })
    void sequencesThatCannotBeAreRefused(String options, String sentence) {
        assertThat(Cli.run(("identify --out " + out + " " + options).split(" ")).sentence())
                .contains(sentence.strip());
    }

    @Test
    void aShortHaystackIsRefused() throws IOException {
        Path text = Files.writeString(directory.resolve("short"), "A short text. It has two sentences.\n");

        assertThat(identify("--steps 2 --haystack " + text).sentence())
                .contains("haystack")
                .contains("tokens");
    }
}
