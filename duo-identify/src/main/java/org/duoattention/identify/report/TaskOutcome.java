package org.duoattention.identify.report;

import java.util.List;

/**
 * How the scorers do in one task.
 *
 * @param task name for people
 * @param context tokens of a text
 * @param needles passkeys of a text
 * @param samples questions per point
 * @param full accuracy with all heads kept
 * @param streaming accuracy with none kept
 * @param curves one per scorer
 */
public record TaskOutcome(
        String task, int context, int needles, int samples, double full, double streaming, List<AccuracyCurve> curves) {
    /** Share of the full accuracy that a smaller share of heads has to keep to be called enough. */
    public static final double ENOUGH = 0.99;

    /** Copies the list. */
    public TaskOutcome {
        curves = List.copyOf(curves);
    }
}
