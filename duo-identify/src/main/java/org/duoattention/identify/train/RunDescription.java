package org.duoattention.identify.train;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeSet;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.data.MultiPasskeySettings;
import org.duoattention.identify.data.TrainingSequence;

/**
 * All that decides the result of a run, by name, as plain values: settings, data and model. Names are those of the authors'
 * config.json where it has them. Two runs with equal descriptions are the same run.
 */
public final class RunDescription {
    /** The name, also in a pattern's config.json, of {@link org.duoattention.core.source.ModelFingerprint}. */
    public static final String MODEL_FINGERPRINT = "model_fingerprint";

    private final Map<String, Object> values;

    /**
     * A description.
     *
     * @param values strings, numbers and booleans by name
     */
    public RunDescription(Map<String, Object> values) {
        this.values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    }

    /**
     * The run that optimises on passkeys.
     *
     * @param fingerprint {@link org.duoattention.core.source.ModelFingerprint} of the model
     */
    public static RunDescription of(TrainingSettings settings, MultiPasskeyData data, String fingerprint) {
        MultiPasskeySettings passkeys = data.settings();
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("method", "optimization");
        values.put(MODEL_FINGERPRINT, fingerprint);
        values.put("num_steps", settings.schedule().steps());
        values.put("ramp_steps", settings.schedule().ramp());
        values.put("lr", settings.learningRate());
        values.put("reg_weight", settings.step().regularisation());
        values.put("initial_value", 1.0);
        values.put("sink_size", settings.step().sinks());
        values.put("recent_size", settings.step().recent());
        values.put("blend", settings.step().blend().label());
        values.put("chunk", settings.step().block());
        values.put("dataset_format", "multiple_passkey");
        values.put("dataset_name", data.haystack().name());
        values.put("num_passkeys", passkeys.passkeys());
        values.put("passkey_length", passkeys.words());
        values.put("context_length_min", passkeys.minTokens());
        values.put("context_length_max", passkeys.maxTokens());
        values.put("context_lengths_num_intervals", passkeys.lengths());
        values.put("min_needle_depth_ratio", passkeys.minDepth());
        values.put("max_needle_depth_ratio", passkeys.maxDepth());
        values.put("depth_ratio_num_intervals", passkeys.depthSteps());
        values.put("length_multiple", passkeys.multiple());
        values.put("labels", passkeys.labels().name().toLowerCase(Locale.ROOT));
        values.put("seed", passkeys.seed());
        // The text may change behind a name.
        values.put("data_fingerprint", fingerprint(data.sequence(0)));
        return new RunDescription(values);
    }

    private static String fingerprint(TrainingSequence sequence) {
        return Integer.toHexString(31 * Arrays.hashCode(sequence.ids()) + Arrays.hashCode(sequence.labels()));
    }

    /** The values by name. */
    public Map<String, Object> values() {
        return values;
    }

    /** How this run differs from another one, as a clause; empty when it does not. */
    Optional<String> differenceFrom(RunDescription other) {
        TreeSet<String> names = new TreeSet<>(values.keySet());
        names.addAll(other.values.keySet());
        for (String name : names) {
            // Numbers come back from a file in another class, not with another value.
            String here = Objects.toString(values.get(name), "not set");
            String there = Objects.toString(other.values.get(name), "not set");
            if (!here.equals(there)) {
                return Optional.of(name + " is " + there + " there and " + here + " here");
            }
        }
        return Optional.empty();
    }
}
