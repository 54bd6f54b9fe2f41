package org.duoattention.identify.task;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;

class TokenPiecesTest {
    /** A character is a token; a BOS, 0, in front. */
    private static int[] characters(String text, boolean special) {
        return (special ? "\0" + text : text).chars().toArray();
    }

    /** As SentencePiece does it: a space is put before every text that is encoded. */
    private static int[] dummyPrefix(String text, boolean special) {
        return characters(text.isEmpty() ? "" : " " + text, special);
    }

    @Test
    void piecesAreCutWhereTheyMeet() {
        List<int[]> ids = TokenPieces.encode(TokenPiecesTest::characters, List.of("", "ab", "", " c", "d"));
        assertThat(ids)
                .containsExactly(
                        new int[0], new int[] {0, 'a', 'b'}, new int[0], new int[] {' ', 'c'}, new int[] {'d'});
    }

    @Test
    void whatATokenizerAddsToTheStartOfATextIsNoPartOfItsMiddle() {
        List<int[]> ids = TokenPieces.encode(TokenPiecesTest::dummyPrefix, List.of("ab", " c"));
        assertThat(ids).containsExactly(new int[] {0, ' ', 'a', 'b'}, new int[] {' ', 'c'});
    }

    @Test
    void aTokenAcrossTwoPiecesIsRefused() {
        TokenEncoder merging = (text, special) -> characters(text.replace("bc", "x"), special);
        assertThatThrownBy(() -> TokenPieces.encode(merging, List.of("ab", "c")))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("'ab'", "'c'");
        assertThatThrownBy(() -> TokenPieces.after(merging, "ab", "c")).isInstanceOf(DuoException.class);
    }

    @Test
    void tokensBehindTheTextAreRefused() {
        TokenEncoder ending = (text, special) -> characters(text + (special && text.length() > 2 ? "!" : ""), special);
        assertThatThrownBy(() -> TokenPieces.encode(ending, List.of("ab", "c")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("not part of it");
    }
}
