package org.duoattention.identify.task;

/**
 * A prompt with a known answer.
 *
 * @param text the prompt, ending where the answer begins
 * @param ids its token ids, special tokens included; owned by the prompt, not to be modified
 * @param answer the words that are asked for, separated by single spaces
 * @param answerTokens tokens of the answer and the line break that ends it
 * @param needleToken tokens before the needle that is asked for
 * @param repeats how often the haystack was begun again because it is shorter than the context
 */
public record PasskeyPrompt(String text, int[] ids, String answer, int answerTokens, int needleToken, int repeats) {}
