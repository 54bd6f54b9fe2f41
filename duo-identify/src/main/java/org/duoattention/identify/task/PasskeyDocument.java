package org.duoattention.identify.task;

import java.util.List;

/**
 * A text with passkeys and a question for each, so that one text may be read once and asked several times.
 *
 * @param text without a question; ends with a line break
 * @param ids its token ids, special tokens included; owned by the document, not to be modified
 * @param questions one per passkey, in order of their places
 * @param repeats how often the haystack was begun again because it is shorter than the context
 */
public record PasskeyDocument(String text, int[] ids, List<Question> questions, int repeats) {
    /** Copies the list. */
    public PasskeyDocument {
        questions = List.copyOf(questions);
    }

    /**
     * A question behind the text.
     *
     * @param ids its token ids behind the text; owned by the document, not to be modified
     * @param answer the words that are asked for, separated by single spaces
     * @param answerTokens tokens of the answer and the line break that ends it
     * @param needleToken tokens before the needle
     */
    public record Question(int[] ids, String answer, int answerTokens, int needleToken) {}
}
