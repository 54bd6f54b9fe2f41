package org.duoattention.examples.cli.bench;

/**
 * One result: medians over the repeats.
 *
 * @param identity who
 * @param phase {@code decode} or {@code prefill}
 * @param depth tokens in the cache before the first decode step, or at the end of the prefill
 * @param from tokens in the cache before the prefill; {@code depth} for decode
 * @param tokens tokens that were decoded or fed per repeat
 * @param tokensPerSecond speed
 * @param bytesPerSecond least bytes that had to be read, per second of the time it took
 * @param boundShare share of the speed that memory and arithmetic of the machine allow, measured just before
 * @param weightBytes bytes of all weights
 * @param kvBytes bytes of a cache for {@code depth} tokens and those that are decoded
 */
public record Row(
        Contender.Identity identity,
        String phase,
        int depth,
        int from,
        int tokens,
        double tokensPerSecond,
        double bytesPerSecond,
        double boundShare,
        long weightBytes,
        long kvBytes) {
    /** The phase of single tokens. */
    public static final String DECODE = "decode";

    /** The phase of prompts. */
    public static final String PREFILL = "prefill";
}
