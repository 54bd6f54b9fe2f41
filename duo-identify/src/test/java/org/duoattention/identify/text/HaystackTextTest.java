package org.duoattention.identify.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HaystackTextTest {
    @TempDir
    Path directory;

    @Test
    void generatedTextIsReproducibleAndVaried() {
        List<String> sentences = sentences(HaystackText.generated(7), 3, 2_000);
        assertThat(sentences).isEqualTo(sentences(HaystackText.generated(7), 3, 2_000));
        assertThat(sentences).isNotEqualTo(sentences(HaystackText.generated(8), 3, 2_000));
        assertThat(sentences).isNotEqualTo(sentences(HaystackText.generated(7), 4, 2_000));
        assertThat(new HashSet<>(sentences)).hasSizeGreaterThan(sentences.size() * 9 / 10);
        assertThat(words(sentences)).hasSizeGreaterThan(400);
    }

    @Test
    void generatedTextNeverHoldsAWordOfANeedle() {
        // Spelled out here rather than read from the task, so that a word missing there is noticed.
        Set<String> needle =
                Set.of(("alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november"
                                + " oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu passkey first second"
                                + " third fourth fifth sixth seventh eighth ninth tenth")
                        .split(" "));
        assertThat(words(sentences(HaystackText.generated(0), 0, 20_000))).doesNotContainAnyElementsOf(needle);
    }

    @Test
    void generatedSentencesAreWhole() {
        for (String sentence : sentences(HaystackText.generated(1), 0, 5_000)) {
            assertThat(sentence).matches("\"?[A-Z].*[.\"]").doesNotContain("  ", "|", ":", "\n");
        }
    }

    @Test
    void aFileIsSplitAtBlankLinesAndFolded() throws IOException {
        HaystackText text = file("One  line\r\nand another. A second\tsentence.\n\n \n\nLast one?\n");
        Iterator<List<String>> paragraphs = text.paragraphs(0);
        assertThat(paragraphs.next()).containsExactly("One line and another.", "A second sentence.");
        assertThat(paragraphs.next()).containsExactly("Last one?");
        assertThat(paragraphs.next()).startsWith("One line and another.");
        assertThat(text.distinctParagraphs()).hasValue(2);
    }

    @Test
    void everyLineIsAParagraphWhereThereAreNoBlankLines() throws IOException {
        assertThat(file("a b.\nc d.\n").distinctParagraphs()).hasValue(2);
    }

    @Test
    void textWithoutFullStopsIsCutWithoutSplittingCharacters() throws IOException {
        String smileys = "\uD83D\uDE00".repeat(1_001);
        List<String> pieces = file(smileys).paragraphs(0).next();
        assertThat(String.join("", pieces)).isEqualTo(smileys);
        assertThat(pieces).allSatisfy(piece -> {
            assertThat(piece.length()).isLessThanOrEqualTo(TextFile.MAX_SENTENCE);
            assertThat(Character.isLowSurrogate(piece.charAt(0))).isFalse();
        });
        String words = "word ".repeat(1_000).strip();
        assertThat(String.join(" ", file(words).paragraphs(0).next())).isEqualTo(words);
    }

    @Test
    void badFilesAreRefusedInASentence() throws IOException {
        assertThatThrownBy(() -> HaystackText.ofFile(directory.resolve("none.txt")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("none.txt")
                .hasMessageContaining("does not exist");
        assertThatThrownBy(() -> HaystackText.ofFile(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("directory");
        assertThatThrownBy(() -> file(" \n\n \t\n"))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("no text");
        Path latin = Files.write(directory.resolve("latin.txt"), "caf\u00e9".getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(() -> HaystackText.ofFile(latin))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("latin.txt")
                .hasMessageContaining("UTF-8");
    }

    private HaystackText file(String content) throws IOException {
        return HaystackText.ofFile(Files.writeString(directory.resolve("text.txt"), content));
    }

    private static List<String> sentences(HaystackText text, long start, int count) {
        List<String> sentences = new ArrayList<>();
        Iterator<List<String>> paragraphs = text.paragraphs(start);
        while (sentences.size() < count) {
            sentences.addAll(paragraphs.next());
        }
        return sentences.subList(0, count);
    }

    private static Set<String> words(List<String> sentences) {
        return new HashSet<>(
                List.of(String.join(" ", sentences).toLowerCase(Locale.ROOT).split("[^a-z]+")));
    }
}
