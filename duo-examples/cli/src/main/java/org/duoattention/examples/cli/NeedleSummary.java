package org.duoattention.examples.cli;

import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * All prompts of one context length under one policy.
 *
 * @param policy name of the cache policy
 * @param context longest context of the sessions
 * @param prompts how many were answered
 * @param accuracy share of exact answers
 * @param kvBytes exact bytes of a session's cache
 * @param prefillTokensPerSecond median over the prompts
 * @param decodeMillisPerToken median over the prompts
 */
record NeedleSummary(
        String policy,
        int context,
        int prompts,
        double accuracy,
        long kvBytes,
        double prefillTokensPerSecond,
        double decodeMillisPerToken) {
    /** Of results that share policy and context; at least one. */
    static NeedleSummary of(List<NeedleResult> results) {
        NeedleResult first = results.getFirst();
        return new NeedleSummary(
                first.policy(),
                first.context(),
                results.size(),
                accuracy(results),
                first.kvBytes(),
                median(results, NeedleResult::prefillTokensPerSecond),
                median(results, NeedleResult::decodeMillisPerToken));
    }

    /** Share of exact answers. */
    static double accuracy(List<NeedleResult> results) {
        return results.stream()
                .mapToDouble(result -> result.exact() ? 1 : 0)
                .average()
                .orElse(0);
    }

    /** The median is not moved by the first prompts, during which the JVM still compiles. */
    private static double median(List<NeedleResult> results, ToDoubleFunction<NeedleResult> figure) {
        double[] sorted = results.stream().mapToDouble(figure).sorted().toArray();
        return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }
}
