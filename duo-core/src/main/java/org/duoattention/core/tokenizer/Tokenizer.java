package org.duoattention.core.tokenizer;

/**
 * Text to token ids and back.
 *
 * <p>Every method may be called from several threads at once; {@link #close} waits for calls in progress. Use after
 * {@code close} is an {@link IllegalStateException}.
 */
public interface Tokenizer extends AutoCloseable {
    /**
     * The ids of the whole text, never truncated or padded.
     *
     * @param addSpecialTokens whether the tokenizer's own frame (usually a BOS in front) is added; false for text that a
     *     chat template has rendered, since templates write their special tokens themselves. Special tokens spelled out in
     *     the text are recognised either way
     * @throws org.duoattention.core.DuoException if the text holds half of a surrogate pair
     */
    int[] encode(String text, boolean addSpecialTokens);

    /**
     * The text of the ids. Bytes that are not UTF-8 become U+FFFD. An id at or above {@link #vocabSize} has no text (models
     * pad their vocabulary) and is passed over.
     *
     * @param skipSpecialTokens whether ids for which {@link #isSpecial} holds are left out
     * @throws org.duoattention.core.DuoException if an id is negative
     */
    String decode(int[] ids, boolean skipSpecialTokens);

    /** One more than the largest id, added tokens included; a model's vocabulary may be larger. */
    int vocabSize();

    /** The special tokens that have a name (bos, eos, ...), as the tokenizer's configuration gives them. */
    SpecialTokens specialTokens();

    /** Whether the id is a control token rather than text. */
    boolean isSpecial(int id);

    /**
     * Whether the id is one raw byte of a run whose text is known only when the run ends: the {@code <0x0A>} tokens of a
     * SentencePiece vocabulary, where one bad byte turns the whole run into U+FFFD.
     */
    default boolean isRawByte(int id) {
        return false;
    }

    /** A decoder for ids that arrive one at a time; it belongs to one thread and must not outlive this tokenizer. */
    default TokenStreamDecoder stream(boolean skipSpecialTokens) {
        return new TokenStreamDecoder(this, skipSpecialTokens);
    }

    @Override
    void close();
}
