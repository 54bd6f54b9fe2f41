package org.duoattention.identify.constructed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ConstructedModelTest {
    @TempDir
    Path folder;

    @Test
    void equalSpecsGiveEqualBytes() throws IOException {
        Path first = folder.resolve("a/first");
        Path second = Files.createDirectory(folder.resolve("second"));
        new ConstructedModel(new ConstructedModel.Spec(1_000_000, 7)).writeTo(first);
        new ConstructedModel(new ConstructedModel.Spec(1_000_000, 7)).writeTo(second);
        List<Path> files = files(first);
        assertThat(files.stream().map(Path::toString))
                .containsExactlyInAnyOrder(
                        "config.json",
                        "generation_config.json",
                        "heads/config.json",
                        "heads/full_attention_heads.tsv",
                        "model.safetensors",
                        "tokenizer.json",
                        "tokenizer_config.json");
        assertThat(files(second)).containsExactlyInAnyOrderElementsOf(files);
        for (Path file : files) {
            assertThat(Files.readAllBytes(second.resolve(file))).isEqualTo(Files.readAllBytes(first.resolve(file)));
        }
        assertThat(folder.toFile().list()).containsExactlyInAnyOrder("a", "second");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 2, 3})
    void threeHeadsInTwoLayersAreRetrievalHeads(long seed) throws IOException {
        ConstructedModel model = new ConstructedModel(new ConstructedModel.Spec(4096, seed));
        HeadMask heads = model.trueHeads();
        assertThat(heads.fits(model.shape())).isTrue();
        assertThat(IntStream.range(0, 3).map(layer -> heads.retrieval(layer).size()))
                .containsExactly(0, 1, 2);
        model.writeTo(folder.resolve("m"));
        List<String> rows = Files.readAllLines(folder.resolve("m/heads/full_attention_heads.tsv"));
        assertThat(rows).hasSize(3);
        for (int layer = 0; layer < 3; layer++) {
            String[] cells = rows.get(layer).split("\t");
            assertThat(cells).hasSize(4);
            for (int head = 0; head < 4; head++) {
                assertThat(Double.parseDouble(cells[head]) == 1.0)
                        .isEqualTo(heads.retrieval(layer).contains(head));
            }
        }
    }

    @Test
    void seedsPlaceTheHeadsDifferently() {
        assertThat(IntStream.range(0, 8)
                        .mapToObj(seed -> new ConstructedModel(new ConstructedModel.Spec(4096, seed)).trueHeads())
                        .distinct())
                .hasSizeGreaterThan(3);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void decoysTakeThePlaceOfHeadsThatAreNotNeeded(int decoys) {
        ConstructedModel model = new ConstructedModel(new ConstructedModel.Spec(4096, 5, decoys));
        assertThat(model.shape()).isEqualTo(new ConstructedModel(new ConstructedModel.Spec(4096, 5)).shape());
        assertThat(model.decoys().retrievalCount()).isEqualTo(decoys);
        for (int layer = 0; layer < 3; layer++) {
            int current = layer;
            assertThat(model.decoys().retrieval(layer).stream())
                    .noneMatch(head -> model.trueHeads().retrieval(current).contains(head));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 4})
    void moreDecoysThanPlacesAreRefused(int decoys) {
        assertThatThrownBy(() -> new ConstructedModel.Spec(4096, 0, decoys))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("not " + decoys);
    }

    @Test
    void nothingIsOverwritten() throws IOException {
        ConstructedModel model = new ConstructedModel(new ConstructedModel.Spec(4096, 0));
        Files.writeString(folder.resolve("mine.txt"), "mine");
        assertThatThrownBy(() -> model.writeTo(folder))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("not empty");
        assertThatThrownBy(() -> model.writeTo(folder.resolve("mine.txt")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("is a file");
        assertThatThrownBy(() -> model.writeTo(folder.resolve("mine.txt/below")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("cannot be written");
        assertThat(folder.toFile().list()).containsExactly("mine.txt");
        assertThat(Files.readString(folder.resolve("mine.txt"))).isEqualTo("mine");
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 0, 255, 4_194_305, Long.MAX_VALUE})
    void contextsThatWereNotProvedAreRefused(long context) {
        assertThatThrownBy(() -> new ConstructedModel.Spec(context, 0))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("not " + context);
    }

    private static List<Path> files(Path directory) throws IOException {
        try (Stream<Path> paths = Files.walk(directory)) {
            return paths.filter(Files::isRegularFile).map(directory::relativize).toList();
        }
    }
}
