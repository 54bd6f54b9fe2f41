package org.duoattention.identify.task;

/** The part of a tokenizer that a task needs to build prompts of a wanted length. */
@FunctionalInterface
public interface TokenEncoder {
    /**
     * The ids of a text, never truncated.
     *
     * @param addSpecialTokens whether the tokenizer's own frame, usually a BOS in front, is added
     */
    int[] encode(String text, boolean addSpecialTokens);
}
