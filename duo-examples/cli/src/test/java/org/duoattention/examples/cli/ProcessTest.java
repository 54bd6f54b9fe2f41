package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The command line as a process of its own: exit codes, Ctrl-C, and jars put on the path. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class ProcessTest {
    /** That of the tests, without the example plugin, which other tests look at. */
    private static final String CLASS_PATH = Arrays.stream(
                    System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"))
                            .split(File.pathSeparator))
            .filter(entry -> !entry.contains("policy-plugin"))
            .collect(Collectors.joining(File.pathSeparator));

    @TempDir
    Path directory;

    @Test
    void theExitCodeReachesTheShell() throws Exception {
        Process process = start(CLASS_PATH, "generate", "--model", "nowhere", "--prompt", "x");
        String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).isEqualTo(2);
        assertThat(err.lines().filter(line -> !line.startsWith("WARNING: ")))
                .singleElement()
                .asString()
                .contains("nowhere");
    }

    @Test
    void ctrlCEndsALongPrefillAndLeavesNothing() throws Exception {
        assumeThat(System.getProperty("os.name")).as("signals are sent by kill").isIn("Linux", "Mac OS X");
        Path prompt = Files.writeString(directory.resolve("prompt.txt"), longText());
        Path json = directory.resolve("result.json");
        Process process = start(
                CLASS_PATH,
                "generate",
                "--model",
                Cli.NANO.toString(),
                "--prompt-file",
                prompt.toString(),
                "--policy",
                "streaming",
                "--chunk",
                "64",
                "--max-new-tokens",
                "4",
                "--json",
                json.toString());
        try (BufferedReader err = process.errorReader(StandardCharsets.UTF_8)) {
            String line = err.readLine();
            while (line != null && !line.startsWith("prefill: ")) {
                line = err.readLine();
            }
            assertThat(line).as("a line of progress, early in the prefill").isNotNull();
            new ProcessBuilder("kill", "-INT", String.valueOf(process.pid()))
                    .start()
                    .waitFor();
            assertThat(process.waitFor(1, TimeUnit.MINUTES)).isTrue();
            assertThat(process.exitValue()).isEqualTo(130);
            assertThat(err.lines()).anyMatch(last -> last.startsWith("duo: interrupted"));
        } finally {
            process.destroyForcibly();
        }
        try (Stream<Path> left = Files.list(directory)) {
            assertThat(left).containsExactly(prompt);
        }
    }

    @Test
    void aPrefillThatWasInterruptedGoesOnWhereItStopped() throws Exception {
        assumeThat(System.getProperty("os.name")).as("signals are sent by kill").isIn("Linux", "Mac OS X");
        Path prompt =
                Files.writeString(directory.resolve("prompt.txt"), longText().substring(0, 30_000));
        Path cache = directory.resolve("prompt.cache");
        Process process = longPrefill(prompt, "--prompt-cache", cache.toString());
        try (BufferedReader err = process.errorReader(StandardCharsets.UTF_8)) {
            String line = err.readLine();
            while (line != null && !line.startsWith("prefill: ")) {
                line = err.readLine();
            }
            new ProcessBuilder("kill", "-INT", String.valueOf(process.pid()))
                    .start()
                    .waitFor();
            assertThat(process.waitFor(1, TimeUnit.MINUTES)).isTrue();
            assertThat(process.exitValue()).isEqualTo(130);
            assertThat(err.lines()).anyMatch(last -> last.startsWith("kept the cache of "));
        } finally {
            process.destroyForcibly();
        }
        JsonNode resumed = resultOf(longPrefill(prompt, "--prompt-cache", cache.toString()));
        assertThat(resumed.path("restoredTokens").asInt())
                .isPositive()
                .isLessThan(resumed.path("promptTokens").asInt());
        JsonNode straight = resultOf(longPrefill(
                prompt, "--prompt-cache", directory.resolve("another.cache").toString()));
        assertThat(straight.path("restoredTokens").asInt()).isZero();
        assertThat(resumed.path("newIds")).isEqualTo(straight.path("newIds"));
        assertThat(resumed.path("logits")).isEqualTo(straight.path("logits"));
    }

    private static Process longPrefill(Path prompt, String... more) throws IOException {
        List<String> arguments = new ArrayList<>(List.of(
                "generate",
                "--model",
                Cli.NANO.toString(),
                "--prompt-file",
                prompt.toString(),
                "--policy",
                "streaming",
                "--chunk",
                "64",
                "--max-new-tokens",
                "4",
                "--logits",
                "--json",
                "-"));
        arguments.addAll(List.of(more));
        return start(CLASS_PATH, arguments.toArray(String[]::new));
    }

    private static JsonNode resultOf(Process process) throws Exception {
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).isZero();
        return JsonMapper.shared().readTree(out);
    }

    /** More than a hundred thousand tokens. */
    private static String longText() {
        StringBuilder text = new StringBuilder();
        Iterator<List<String>> paragraphs = HaystackText.generated(0).paragraphs(0);
        while (text.length() < 1_000_000) {
            text.append(String.join(" ", paragraphs.next())).append('\n');
        }
        return text.toString();
    }

    @Test
    void anIdentificationThatWasKilledEndsWithTheSameGates() throws Exception {
        Path killed = directory.resolve("killed");
        Process first = identify(killed);
        try (BufferedReader err = first.errorReader(StandardCharsets.UTF_8)) {
            String line = err.readLine();
            while (line != null && !line.startsWith("identify: step 3 ")) {
                line = err.readLine();
            }
            assertThat(line).as("a line of progress").isNotNull();
            // The signal that a process cannot handle.
            assertThat(first.destroyForcibly().waitFor()).isNotZero();
        }
        assertThat(killed.resolve("full_attention_heads.tsv")).doesNotExist();
        assertThat(errorsOf(identify(killed))).anyMatch(line -> line.startsWith("identify: going on after step "));
        Path uninterrupted = directory.resolve("uninterrupted");
        assertThat(errorsOf(identify(uninterrupted))).noneMatch(line -> line.contains("going on"));
        assertThat(killed.resolve("full_attention_heads.tsv"))
                .hasSameBinaryContentAs(uninterrupted.resolve("full_attention_heads.tsv"));
    }

    private static Process identify(Path out) throws IOException {
        String line = "identify --context 192,256 --needles 2 --words 4 --recent 32 --steps 6 --save-every 2 --out ";
        return start(CLASS_PATH, (line + out).split(" "));
    }

    private static List<String> errorsOf(Process process) throws Exception {
        List<String> lines = process.errorReader(StandardCharsets.UTF_8).lines().toList();
        assertThat(process.waitFor()).as("exit code, %s", lines).isZero();
        return lines;
    }

    @Test
    void aPolicyInAJarOnThePathIsPickedUp() throws Exception {
        Path jar = pluginJar();
        String path = CLASS_PATH + File.pathSeparator + jar;
        Process backends = start(path, "backends");
        assertThat(new String(backends.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .contains("pyramid [pyramid.jar]");
        assertThat(backends.waitFor()).isZero();

        Process needle = start(
                path,
                "needle",
                "--policies",
                "pyramid",
                "--contexts",
                "384",
                "--depths",
                "1",
                "--samples",
                "1",
                "--out",
                directory.resolve("maps").toString());
        assertThat(new String(needle.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .contains("pyramid");
        assertThat(needle.waitFor()).isZero();
        assertThat(directory.resolve("maps").resolve("needle-pyramid.png")).isNotEmptyFile();
    }

    /** Compiles the example plugin and packs it as an outsider would. */
    private Path pluginJar() throws IOException {
        Path module = Path.of("..", "policy-plugin", "src", "main");
        assumeThat(module)
                .as("the example plugin's sources are beside this module")
                .isDirectory();
        Path classes = Files.createDirectory(directory.resolve("classes"));
        int status = ToolProvider.getSystemJavaCompiler()
                .run(
                        null,
                        null,
                        null,
                        "-cp",
                        CLASS_PATH,
                        "-d",
                        classes.toString(),
                        module.resolve("java/org/duoattention/examples/policy/PyramidPolicy.java")
                                .toString());
        assertThat(status).isZero();
        Path jar = directory.resolve("pyramid.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            add(out, classes, "org/duoattention/examples/policy/PyramidPolicy.class");
            add(out, module.resolve("resources"), "META-INF/services/org.duoattention.api.cache.KVCachePolicy");
        }
        return jar;
    }

    private static void add(JarOutputStream jar, Path root, String name) throws IOException {
        jar.putNextEntry(new JarEntry(name));
        jar.write(Files.readAllBytes(root.resolve(name)));
        jar.closeEntry();
    }

    private static Process start(String classPath, String... args) throws IOException {
        List<String> command = new ArrayList<>();
        if (Files.isExecutable(Path.of("/usr/bin/env"))
                && System.getProperty("os.name").equals("Linux")) {
            // A build in the background may have been started with SIGINT ignored, which children inherit.
            command.addAll(List.of("/usr/bin/env", "--default-signal=INT"));
        }
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules",
                "jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-Djava.awt.headless=true",
                "-Xmx1g",
                "-cp",
                classPath,
                "org.duoattention.examples.cli.DuoCommand"));
        command.addAll(Arrays.asList(args));
        return new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")))
                .start();
    }
}
