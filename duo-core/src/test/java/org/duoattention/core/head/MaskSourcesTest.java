package org.duoattention.core.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.StreamSupport;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MaskSourcesTest {
    private static final ModelShape SHAPE = new ModelShape(2, 8, 4, 2, 2, 8, 8);

    @TempDir
    Path directory;

    @Test
    void areFoundAsServices() {
        assertThat(StreamSupport.stream(ServiceLoader.load(HeadMaskSource.class).spliterator(), false)
                        .map(HeadMaskSource::name))
                .contains("all", "none", "pattern", "mask");
    }

    @Test
    void fixedSources() {
        assertThat(new AllHeads().headMask(HeadMaskRequest.of(SHAPE))).isEqualTo(HeadMask.all(SHAPE));
        assertThat(new NoHeads().headMask(HeadMaskRequest.of(SHAPE))).isEqualTo(HeadMask.none(SHAPE));
        refused(new AllHeads(), Map.of("sparsity", "0.5"), "head source 'all' has no option 'sparsity'; it has none");
        refused(new NoHeads(), Map.of("x", ""), "head source 'none' has no option 'x'");
    }

    @Test
    void masksAreReadAsTheyAre() throws IOException {
        Path file = Files.writeString(directory.resolve("mask.tsv"), "1\t0\n0\t1.0\n");
        assertThat(new MaskFileHeads().headMask(request(Map.of("file", file.toString()))))
                .isEqualTo(HeadMask.of(2, List.of(HeadSet.of(0), HeadSet.of(1))));
    }

    @Test
    void badMasksAreRefused() throws IOException {
        MaskFileHeads source = new MaskFileHeads();
        refused(source, Map.of(), "needs the option 'file'");
        refused(source, Map.of("file", "x", "sparsity", "1"), "has no option 'sparsity'; it has file");
        refused(source, Map.of("file", directory.resolve("absent").toString()), "no such file");
        refused(source, Map.of("file", directory.toString()), "no such file");
        refused(source, Map.of("file", "a\0b"), "is not a path");
        Path file = directory.resolve("mask.tsv");
        Map<String, String> options = Map.of("file", file.toString());
        Files.writeString(file, "1\t0\n0\t0.5\n");
        refused(source, options, "layer 1, KV head 1 is 0.5, expected 0 or 1");
        Files.writeString(file, "1\t0\t1\n0\t1\t1\n1\t1\t1\n");
        refused(source, options, "holds 3 layers x 3 KV heads, the model has 2 layers x 2 KV heads");
    }

    @Test
    void patternsAreSelectedFrom() throws IOException {
        PatternDirectory.write(
                directory, new HeadPattern(new double[][] {{0.9, 0.8}, {0.2, 0.7}}, 4, 8, Map.of("sparsity", 1)));
        HeadMask half = HeadMask.of(2, List.of(HeadSet.of(0, 1), HeadSet.empty()));
        assertThat(pattern()).isEqualTo(half);
        assertThat(pattern("sparsity", "0.5")).isEqualTo(half);
        assertThat(pattern("sparsity", "0.25")).isEqualTo(HeadMask.of(2, List.of(HeadSet.of(0, 1), HeadSet.of(1))));
        assertThat(pattern("threshold", "0.9")).isEqualTo(HeadMask.of(2, List.of(HeadSet.of(0), HeadSet.empty())));
    }

    @Test
    void badPatternRequestsAreRefused() {
        PatternHeads source = new PatternHeads();
        String here = directory.toString();
        refused(source, Map.of(), "needs the option 'directory'");
        refused(source, Map.of("directory", here), "no such file");
        refused(source, Map.of("directory", here, "sparsty", "0.5"), "has no option 'sparsty'");
        for (String value : List.of("-0.1", "1.1", "NaN", "half", "")) {
            refused(
                    source,
                    Map.of("directory", here, "sparsity", value),
                    "'" + value + "', expected a number from 0 to 1");
        }
        refused(source, Map.of("directory", here, "sparsity", "0", "threshold", "0"), "exclude each other");
        PatternDirectory.write(directory, new HeadPattern(new double[3][5], 4, 8, Map.of()));
        refused(source, Map.of("directory", here), "holds 3 layers x 5 KV heads, the model has 2 layers x 2 KV heads");
    }

    private HeadMask pattern(String... option) {
        Map<String, String> options = option.length == 0
                ? Map.of("directory", directory.toString())
                : Map.of("directory", directory.toString(), option[0], option[1]);
        return new PatternHeads().headMask(request(options));
    }

    private static HeadMaskRequest request(Map<String, String> options) {
        return new HeadMaskRequest(SHAPE, Optional.empty(), options);
    }

    private static void refused(HeadMaskSource source, Map<String, String> options, String message) {
        assertThatThrownBy(() -> source.headMask(request(options)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
    }
}
