package org.duoattention.core.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;

class StopStringsTest {
    @Test
    void withholdsWhatMayBeTheBeginning() {
        StopStrings stops = new StopStrings(List.of("</end>"));
        assertThat(stops.push("text <")).isEqualTo("text ");
        assertThat(stops.push("/e")).isEmpty();
        assertThat(stops.push("m> and </")).isEqualTo("</em> and ");
        assertThat(stops.push("end> more")).isEmpty();
        assertThat(stops.stop()).hasValue("</end>");
        assertThat(stops.push("ignored")).isEmpty();
        assertThat(stops.flush()).isEmpty();
    }

    @Test
    void flushGivesABeginningThatWasNone() {
        StopStrings stops = new StopStrings(List.of("User:"));
        assertThat(stops.push("Us")).isEmpty();
        assertThat(stops.flush()).isEqualTo("Us");
        assertThat(stops.stop()).isEmpty();
    }

    @Test
    void theFirstCompleteStopStringWinsAndThenTheLongest() {
        assertThat(cut(List.of("abcd", "bc"), "xabcd", new Random(0))).isEqualTo("xa");
        assertThat(cut(List.of("c", "abc"), "xabcd", new Random(0))).isEqualTo("x");
        assertThat(cut(List.of("aab"), "aaaab", new Random(0))).isEqualTo("aa");
    }

    @Test
    void withoutStopStringsTextPassesThrough() {
        StopStrings stops = new StopStrings(List.of());
        assertThat(stops.push("anything")).isEqualTo("anything");
        assertThat(stops.flush()).isEmpty();
    }

    @Test
    void refusesAnEmptyStopString() {
        assertThatThrownBy(() -> new StopStrings(List.of("a", "")))
                .isInstanceOf(DuoException.class)
                .hasMessage("A stop string is empty; expected at least one character.");
    }

    @Test
    void anySplitGivesTheResultOfAPlainSearch() {
        Random random = new Random(11);
        for (int round = 0; round < 20_000; round++) {
            List<String> stops = new ArrayList<>();
            for (int i = random.nextInt(4); i > 0; i--) {
                stops.add(word(random, 1 + random.nextInt(5)));
            }
            String text = word(random, random.nextInt(30));
            assertThat(cut(stops, text, random)).as("%s in %s", stops, text).isEqualTo(search(stops, text));
        }
    }

    private static String cut(List<String> stops, String text, Random random) {
        StopStrings matcher = new StopStrings(stops);
        StringBuilder result = new StringBuilder();
        int at = 0;
        while (at < text.length()) {
            int end = Math.min(text.length(), at + random.nextInt(4));
            result.append(matcher.push(text.substring(at, end)));
            at = end;
            String soFar = text.substring(0, at);
            if (matcher.stop().isEmpty()) {
                String withheld = soFar.substring(result.length());
                assertThat(stops.stream().anyMatch(s -> s.startsWith(withheld)) || withheld.isEmpty())
                        .as("withheld [%s] of [%s] for %s", withheld, soFar, stops)
                        .isTrue();
            }
        }
        return result.append(matcher.flush()).toString();
    }

    /** The definition, by trying every end position in turn. */
    private static String search(List<String> stops, String text) {
        for (int end = 1; end <= text.length(); end++) {
            String head = text.substring(0, end);
            Optional<String> longest =
                    stops.stream().filter(head::endsWith).reduce((a, b) -> a.length() >= b.length() ? a : b);
            if (longest.isPresent()) {
                return head.substring(0, end - longest.get().length());
            }
        }
        return text;
    }

    private static String word(Random random, int length) {
        StringBuilder word = new StringBuilder();
        for (int i = 0; i < length; i++) {
            word.append((char) ('a' + random.nextInt(3)));
        }
        return word.toString();
    }
}
