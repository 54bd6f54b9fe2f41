package org.duoattention.identify.task;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ExactMatchTest {
    @ParameterizedTest
    @ValueSource(strings = {" kilo tango\n", "kilo tango", " kilo  tango \nWhat is", "\n kilo tango\nzulu"})
    void theFirstLineCounts(String generated) {
        assertThat(ExactMatch.matches("kilo tango", generated)).isTrue();
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " kilo", " kilo tango zulu", " tango kilo", " Kilo tango", " kilotango", "kilo\ntango"})
    void missingExtraSwappedOrAlteredWordsDoNot(String generated) {
        assertThat(ExactMatch.matches("kilo tango", generated)).isFalse();
    }

    @Test
    void theAnswerLineIsShownWithoutWhatFollows() {
        assertThat(ExactMatch.answerLine(" kilo tango \nThe next day")).isEqualTo("kilo tango");
        assertThat(ExactMatch.answerLine("")).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " ",
                "\n",
                " ki",
                " kilo",
                "kilo ",
                " kilo  ta",
                " kilo tango",
                " kilo tango ",
                " kilo tango\n",
                "kilo tango\nx"
            })
    void anAnswerMayStillBecomeRight(String soFar) {
        assertThat(ExactMatch.mayMatch("kilo tango", soFar)).isTrue();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                " ka",
                " kilom",
                "ki ",
                "kilo\n",
                "kilotango",
                " tango",
                "kilo tango z",
                "kilo tangos",
                "kilo tang\n",
                "Kilo"
            })
    void anAnswerIsLostAtItsFirstWrongCharacter(String soFar) {
        assertThat(ExactMatch.mayMatch("kilo tango", soFar)).isFalse();
    }
}
