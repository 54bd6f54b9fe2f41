package org.duoattention.identify.train;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.core.head.HeadPattern;

/**
 * What a run found.
 *
 * @param gates layers x KV heads, 0 to 1
 * @param distill distance between teacher and student in every step
 * @param regularisation mean magnitude of the gates in every step
 */
public record TrainingOutcome(double[][] gates, double[] distill, double[] regularisation) {
    /** Steps that the final distance is the mean of: a single one depends on its sequence. */
    private static final int LAST_STEPS = 20;

    /**
     * The pattern of these gates.
     *
     * @param settings what they were found with
     * @param more what its config.json is to hold beside sink and recent sizes, by name
     */
    public HeadPattern pattern(TrainingSettings settings, Map<String, ?> more) {
        Map<String, Object> all = new LinkedHashMap<>(more);
        int window = Math.min(distill.length, LAST_STEPS);
        double mean = Arrays.stream(distill, distill.length - window, distill.length)
                .average()
                .orElse(0);
        all.put("final_distill", mean);
        all.put(
                "final_gate_mean",
                Arrays.stream(gates).flatMapToDouble(Arrays::stream).average().orElse(0));
        all.put("heads_above_half", above());
        return new HeadPattern(gates, settings.step().sinks(), settings.step().recent(), all);
    }

    /** Heads whose gate is above one half. */
    public int above() {
        return above(gates);
    }

    static int above(double[][] gates) {
        int above = 0;
        for (double[] layer : gates) {
            for (double gate : layer) {
                above += gate > 0.5 ? 1 : 0;
            }
        }
        return above;
    }
}
