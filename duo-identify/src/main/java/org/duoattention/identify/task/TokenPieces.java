package org.duoattention.identify.task;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.duoattention.core.DuoException;

/** Finds out which tokens of a text belong to which piece of it. */
public final class TokenPieces {
    private static final int SHOWN = 40;

    private TokenPieces() {}

    /**
     * The ids of a text, special tokens included, cut where its pieces meet. Every piece is encoded behind the one before
     * it, since some tokenizers encode the start of a text differently from its middle; together the pieces must be what
     * the whole text encodes to.
     *
     * @param pieces texts that follow each other; an empty one has no ids, and the first that is not empty brings the
     *     special tokens
     * @return ids per piece
     * @throws DuoException when a token reaches across two pieces, naming them
     */
    public static List<int[]> encode(TokenEncoder encoder, List<String> pieces) {
        List<int[]> result = new ArrayList<>();
        int[] whole = encoder.encode(String.join("", pieces), true);
        int at = 0;
        String before = "";
        for (int i = 0; i < pieces.size(); i++) {
            String piece = pieces.get(i);
            int[] ids = ids(encoder, before, piece);
            int end = Math.min(whole.length, at + ids.length);
            int wrong = Arrays.mismatch(ids, 0, ids.length, whole, at, end);
            if (wrong >= 0) {
                // A token that reaches out of the piece spoils its end, one that reaches into it its start.
                boolean out = 2 * wrong >= ids.length && i + 1 < pieces.size();
                throw out ? across(piece, pieces.get(i + 1)) : across(before, piece);
            }
            result.add(ids);
            at = end;
            before = piece.isEmpty() ? before : piece;
        }
        if (at != whole.length) {
            throw new DuoException("The tokenizer puts tokens after a text that are not part of it; passkeys cannot be"
                    + " placed with it");
        }
        return result;
    }

    private static int[] ids(TokenEncoder encoder, String before, String piece) {
        if (piece.isEmpty()) {
            return new int[0];
        }
        return before.isEmpty() ? encoder.encode(piece, true) : after(encoder, before, piece);
    }

    /**
     * The ids of a piece behind another one.
     *
     * @throws DuoException when a token reaches across the two
     */
    public static int[] after(TokenEncoder encoder, String before, String piece) {
        int[] first = encoder.encode(before, false);
        int[] both = encoder.encode(before + piece, false);
        if (both.length < first.length || !Arrays.equals(first, 0, first.length, both, 0, first.length)) {
            throw across(before, piece);
        }
        return Arrays.copyOfRange(both, first.length, both.length);
    }

    private static DuoException across(String before, String piece) {
        String end = before.substring(Math.max(0, before.length() - SHOWN)).replace("\n", "\\n");
        String start = piece.substring(0, Math.min(SHOWN, piece.length())).replace("\n", "\\n");
        return new DuoException("The tokenizer has tokens that reach from '" + end + "' into '" + start
                + "', so the tokens of a passkey cannot be told from the text around it; use a model whose tokenizer"
                + " parts them");
    }
}
