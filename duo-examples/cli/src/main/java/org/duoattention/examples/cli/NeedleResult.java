package org.duoattention.examples.cli;

/**
 * One prompt answered under one policy.
 *
 * @param policy name of the cache policy
 * @param context longest context of the session, prompt and answer together
 * @param depth 0 to 1
 * @param sample which of the cell's prompts
 * @param exact whether every word was right
 * @param expected the words that were hidden
 * @param answer the first line that the model wrote
 * @param promptTokens tokens of the prompt
 * @param needleToken tokens before the needle
 * @param kvBytes exact bytes of the cache
 * @param prefillTokensPerSecond speed of the prefill
 * @param decodeMillisPerToken speed of the answer
 */
record NeedleResult(
        String policy,
        int context,
        double depth,
        int sample,
        boolean exact,
        String expected,
        String answer,
        int promptTokens,
        int needleToken,
        long kvBytes,
        double prefillTokensPerSecond,
        double decodeMillisPerToken) {}
