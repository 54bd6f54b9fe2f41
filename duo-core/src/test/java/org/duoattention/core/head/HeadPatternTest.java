package org.duoattention.core.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Reading and writing of pattern directories, good and bad. */
class HeadPatternTest {
    @TempDir
    Path directory;

    @Test
    void readsAndClips() throws IOException {
        write("1.5e+00\t-2.5e-04\t 0.25\r\n0\t1\t.5\n", "{\"sink_size\": 4, \"recent_size\": 8, \"lr\": 0.02}");
        HeadPattern pattern = PatternDirectory.read(directory);
        assertThat(pattern.layers()).isEqualTo(2);
        assertThat(pattern.kvHeads()).isEqualTo(3);
        assertThat(scores(pattern)).isEqualTo(new double[][] {{1, 0, 0.25}, {0, 1, 0.5}});
        assertThat(pattern.sinkSize()).isEqualTo(4);
        assertThat(pattern.recentSize()).isEqualTo(8);
        assertThat(pattern.settings()).isEqualTo(Map.of("lr", 0.02));
    }

    @Test
    void writesWhatNumpyWrites() throws IOException {
        Path target = directory.resolve("new/pattern");
        PatternDirectory.write(target, new HeadPattern(new double[][] {{1, 0.5}, {0, 0.1}}, 16, 64, Map.of()));
        assertThat(Files.readString(target.resolve(PatternDirectory.SCORES)))
                .isEqualTo("1.000000000000000000e+00\t5.000000000000000000e-01\n"
                        + "0.000000000000000000e+00\t1.000000000000000000e-01\n");
        try (var files = Files.list(target)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder(PatternDirectory.SCORES, PatternDirectory.CONFIG);
        }
    }

    @Test
    void writtenPatternsReadBackExactly() {
        double[][] scores = {{0.1, 1.0 / 3, 5e-324}, {0.8046875, 1, Math.nextDown(1.0)}};
        Map<String, Object> settings = Map.of("model_name", "m", "steps", 2000, "nested", List.of(1, "x"), "b", true);
        PatternDirectory.write(directory, new HeadPattern(scores, 128, 256, settings));
        // A second time, over the first.
        PatternDirectory.write(directory, PatternDirectory.read(directory));
        HeadPattern pattern = PatternDirectory.read(directory);
        assertThat(scores(pattern)).isEqualTo(scores);
        assertThat(pattern.sinkSize()).isEqualTo(128);
        assertThat(pattern.recentSize()).isEqualTo(256);
        assertThat(pattern.settings()).isEqualTo(settings);
    }

    @Test
    void anUnwritableTargetIsOneSentence() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "");
        HeadPattern pattern = new HeadPattern(new double[][] {{1}}, 0, 1, Map.of());
        assertThatThrownBy(() -> PatternDirectory.write(file, pattern))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("cannot be written");
    }

    static List<Arguments> badTables() {
        return List.of(
                arguments("", "is empty"),
                arguments(" \n\n", "is empty"),
                arguments("1\t2\n1\t2\t3\n", "line 2 has 3 columns, the first row has 2"),
                arguments("1\tnan", "line 1, column 2 is 'nan'"),
                arguments("0\t0\n1\tNaN\n", "line 2, column 2 is 'NaN'"),
                arguments("-inf\t1", "line 1, column 1 is '-inf'"),
                arguments("1e999\t1", "line 1, column 1 is '1e999'"),
                arguments("1\tabc", "line 1, column 2 is 'abc'"),
                arguments("1\t\t1", "line 1, column 2 is ''"),
                arguments("0x1p3", "line 1, column 1 is '0x1p3'"),
                arguments("1f", "line 1, column 1 is '1f'"),
                arguments("1,2", "line 1, column 1 is '1,2'"),
                arguments("1 2", "line 1, column 1 is '1 2'"));
    }

    @ParameterizedTest
    @MethodSource("badTables")
    void badTablesAreNamed(String table, String message) throws IOException {
        write(table, "{\"sink_size\": 4, \"recent_size\": 8}");
        refused(message, PatternDirectory.SCORES);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "{",
                "{}",
                "{\"sink_size\": 4}",
                "{\"sink_size\": -1, \"recent_size\": 8}",
                "{\"sink_size\": 4, \"recent_size\": 0}",
                "{\"sink_size\": 4.5, \"recent_size\": 8}",
                "{\"sink_size\": \"4\", \"recent_size\": 8}",
                "{\"sink_size\": 4, \"recent_size\": 8, \"recent_size\": 9}",
                "{\"sink_size\": 4, \"recent_size\": 99999999999}"
            })
    void badConfigsAreNamed(String config) throws IOException {
        write("1\t0\n", config);
        refused("", PatternDirectory.CONFIG);
    }

    @Test
    void missingFilesAreNamed() throws IOException {
        refused("no such file", PatternDirectory.SCORES);
        Files.writeString(directory.resolve(PatternDirectory.SCORES), "1\t0\n");
        refused("no such file", PatternDirectory.CONFIG);
        assertThatThrownBy(() -> PatternDirectory.read(directory.resolve("absent")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("no such directory");
    }

    private void refused(String message, String file) {
        assertThatThrownBy(() -> PatternDirectory.read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining(directory.resolve(file).toString())
                .hasMessageContaining(message);
    }

    private void write(String table, String config) throws IOException {
        Files.writeString(directory.resolve(PatternDirectory.SCORES), table);
        Files.writeString(directory.resolve(PatternDirectory.CONFIG), config);
    }

    private static double[][] scores(HeadPattern pattern) {
        double[][] scores = new double[pattern.layers()][pattern.kvHeads()];
        for (int layer = 0; layer < scores.length; layer++) {
            for (int head = 0; head < scores[layer].length; head++) {
                scores[layer][head] = pattern.score(layer, head);
            }
        }
        return scores;
    }
}
