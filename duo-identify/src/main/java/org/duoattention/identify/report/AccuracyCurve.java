package org.duoattention.identify.report;

import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/**
 * Accuracy of one scorer by share of heads kept.
 *
 * @param scorer name of the scorer
 * @param fractions shares of heads kept, ascending
 * @param accuracies for each share the accuracy of each of the scorer's patterns
 */
public record AccuracyCurve(String scorer, List<Double> fractions, List<List<Double>> accuracies) {
    /** A mean of equal shares may come out a little below them. */
    private static final double ROUNDING = 1e-9;

    /** Copies the lists and checks that they belong together. */
    public AccuracyCurve {
        fractions = List.copyOf(fractions);
        accuracies = accuracies.stream().map(List::copyOf).toList();
        if (accuracies.size() != fractions.size() || accuracies.stream().anyMatch(List::isEmpty)) {
            throw new IllegalArgumentException(
                    "a curve has an accuracy for each of its " + fractions.size() + " shares, not " + accuracies);
        }
    }

    /** Patterns of the scorer. */
    public int patterns() {
        return accuracies.getFirst().size();
    }

    /** Mean over the patterns. */
    public double mean(int index) {
        return accuracies.get(index).stream()
                .mapToDouble(Double::doubleValue)
                .average()
                .orElseThrow();
    }

    /** Standard deviation over the patterns, with n - 1; 0 of a single one. */
    public double deviation(int index) {
        double mean = mean(index);
        double sum = accuracies.get(index).stream()
                .mapToDouble(accuracy -> (accuracy - mean) * (accuracy - mean))
                .sum();
        return patterns() == 1 ? 0 : Math.sqrt(sum / (patterns() - 1));
    }

    /** The smallest share whose mean accuracy is at least so much; empty when none is. */
    public OptionalDouble smallest(double accuracy) {
        return IntStream.range(0, fractions.size())
                .filter(i -> mean(i) >= accuracy - ROUNDING)
                .mapToDouble(fractions::get)
                .findFirst();
    }
}
