package org.duoattention.core.tokenizer;

import java.util.Arrays;

/**
 * Decodes ids that arrive one at a time. The pieces it returns never end inside a character, and joined together (with
 * {@link #flush} at the end) they are exactly what {@link Tokenizer#decode} gives for all ids at once.
 *
 * <p>Each piece is the growth of {@code decode(context + pending)} over {@code decode(context)}: the context, the last
 * tokens already written, is needed because some tokenizers strip the space in front of a text's first word. In a
 * byte-level vocabulary a token may end inside a character; the decoder of the library writes such an incomplete end as
 * one U+FFFD, so a U+FFFD at the end is withheld until the next token settles it. A run of raw bytes
 * ({@link Tokenizer#isRawByte}) is withheld whole, because its last byte decides about all of them.
 *
 * <p>Not for use by several threads at once.
 */
public final class TokenStreamDecoder {
    private static final char REPLACEMENT = '\uFFFD';
    /** A character has at most four bytes and a token at least one, so this many tokens decide every earlier one. */
    private static final int UNDECIDED = 4;

    private static final int PENDING_LIMIT = 16;

    private final Tokenizer tokenizer;
    private final boolean skipSpecialTokens;
    /** Context tokens, then pending ones. */
    private int[] ids = new int[PENDING_LIMIT];

    private int count;
    private int contextCount;
    /** Characters of decode(ids) that have been returned, at least the length of the context's text. */
    private int written;

    TokenStreamDecoder(Tokenizer tokenizer, boolean skipSpecialTokens) {
        this.tokenizer = tokenizer;
        this.skipSpecialTokens = skipSpecialTokens;
    }

    /** Takes the next id and returns the text that is now certain, often empty. */
    public String push(int id) {
        if (id >= tokenizer.vocabSize() || skipSpecialTokens && tokenizer.isSpecial(id)) {
            return "";
        }
        if (count == ids.length) {
            ids = Arrays.copyOf(ids, count * 2);
        }
        ids[count++] = id;
        return tokenizer.isRawByte(id) ? "" : take(false);
    }

    /** Returns the text withheld so far and starts afresh. */
    public String flush() {
        String rest = take(true);
        count = 0;
        contextCount = 0;
        written = 0;
        return rest;
    }

    private String take(boolean last) {
        String text = decode(0, count);
        int certain = text.length();
        if (!last && certain > written && text.charAt(certain - 1) == REPLACEMENT) {
            certain--;
        }
        String piece = certain > written ? text.substring(written, certain) : "";
        written = Math.max(written, certain);
        if (certain < text.length()) {
            if (count - contextCount > PENDING_LIMIT) {
                cutPending(text);
            }
        } else if (!piece.isEmpty()) {
            slide(contextCount);
        } else if (contextCount > 0) {
            // A token without text; it needs no place in the context.
            count = contextCount;
        }
        return piece;
    }

    /** Makes the ids from {@code start} on the new context. */
    private void slide(int start) {
        System.arraycopy(ids, start, ids, 0, count - start);
        count -= start;
        contextCount = count;
        written = decode(0, count).length();
    }

    /**
     * Bytes that never become a character would pend for ever. Where decoding the two sides of a cut gives the same text
     * as decoding them together, no character spans the cut, and {@link #UNDECIDED} tokens behind it no later token can
     * change that.
     */
    private void cutPending(String text) {
        for (int cut = count - UNDECIDED; cut > contextCount; cut--) {
            String front = decode(0, cut);
            String back = decode(cut, count);
            if (!back.isEmpty() && text.equals(front + back)) {
                int remaining = written - front.length();
                System.arraycopy(ids, cut, ids, 0, count - cut);
                count -= cut;
                contextCount = 0;
                written = remaining;
                return;
            }
        }
    }

    private String decode(int from, int to) {
        return tokenizer.decode(Arrays.copyOfRange(ids, from, to), skipSpecialTokens);
    }
}
