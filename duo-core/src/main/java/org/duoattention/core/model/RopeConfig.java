package org.duoattention.core.model;

import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonObject;
import org.jspecify.annotations.Nullable;

/**
 * Rotary position embedding as a checkpoint asks for it.
 *
 * @param theta base of the frequencies
 * @param scaling how they are stretched
 */
public record RopeConfig(double theta, RopeScaling scaling) {
    private static final double DEFAULT_THETA = 10_000;
    private static final int MAX_POSITIONS = 1 << 30;
    private static final String PARAMETERS = "rope_parameters";
    private static final String SCALING = "rope_scaling";
    private static final String TYPE = "rope_type";
    private static final String LEGACY_TYPE = "type";
    private static final String THETA = "rope_theta";
    private static final String ORIGINAL_POSITIONS = "original_max_position_embeddings";
    private static final String FACTOR = "factor";

    /**
     * Reads both styles of config.json: {@code rope_theta} and {@code rope_scaling} beside the other keys, and {@code
     * rope_parameters}.
     *
     * @param config the whole config.json
     * @param maxPositions {@code max_position_embeddings}
     * @throws DuoException when a value is malformed or a scaling is not supported
     */
    static RopeConfig read(JsonObject config, int maxPositions) {
        refusePartialRotation(config);
        JsonObject parameters = parameters(config);
        if (parameters == null) {
            return new RopeConfig(theta(config).orElse(DEFAULT_THETA), new RopeScaling.None());
        }
        refusePartialRotation(parameters);
        OptionalDouble own = theta(parameters);
        OptionalDouble outer = theta(config);
        double theta = own.orElse(outer.orElse(DEFAULT_THETA));
        return new RopeConfig(theta, scaling(config, parameters, maxPositions));
    }

    private static OptionalDouble theta(JsonObject object) {
        // The upper bound keeps every frequency a normal float; real checkpoints stay below 1e9.
        return object.number(THETA, 1.001, 1e30);
    }

    private static @Nullable JsonObject parameters(JsonObject config) {
        JsonObject scaling = flat(config.object(SCALING).orElse(null));
        JsonObject parameters = flat(config.object(PARAMETERS).orElse(null));
        if (scaling != null && parameters != null && !scaling.sameAs(parameters)) {
            throw new DuoException(config.file() + ": " + SCALING + " and " + PARAMETERS
                    + " are both set and differ; keep the one that the checkpoint was trained with");
        }
        return scaling != null ? scaling : parameters;
    }

    /** Rotations given per layer type are accepted only when they are all the same. */
    private static @Nullable JsonObject flat(@Nullable JsonObject parameters) {
        if (parameters == null || parameters.keys().isEmpty()) {
            return null;
        }
        Map<String, JsonObject> nested = parameters.objects();
        if (nested.isEmpty()) {
            return parameters;
        }
        List<JsonObject> all = List.copyOf(nested.values());
        if (nested.size() != parameters.keys().size() || all.stream().anyMatch(other -> !other.sameAs(all.get(0)))) {
            throw new DuoException(parameters.file() + ": " + PARAMETERS + " differ between the layer types "
                    + nested.keySet() + "; models with more than one rotation are not supported");
        }
        return all.get(0);
    }

    private static void refusePartialRotation(JsonObject object) {
        double factor = object.number("partial_rotary_factor", 0, 1).orElse(1);
        if (factor != 1) {
            throw object.problem("partial_rotary_factor", "1; heads that are rotated in part are not supported");
        }
    }

    private static RopeScaling scaling(JsonObject config, JsonObject parameters, int maxPositions) {
        String key = parameters.isSet(TYPE) ? TYPE : LEGACY_TYPE;
        String type = parameters.string(key).orElse("default");
        return switch (type) {
            case "default" -> new RopeScaling.None();
            case "linear" -> new RopeScaling.Linear(requiredFactor(parameters));
            case "dynamic" -> new RopeScaling.Dynamic(requiredFactor(parameters), maxPositions);
            case "llama3" -> llama3(config, parameters, maxPositions);
            case "yarn" -> yarn(config, parameters, maxPositions);
            default -> throw parameters.problem(key, "a supported rotation: default, linear, dynamic, llama3 or yarn");
        };
    }

    private static RopeScaling llama3(JsonObject config, JsonObject parameters, int maxPositions) {
        double low = required(parameters, "low_freq_factor");
        double high = required(parameters, "high_freq_factor");
        if (high <= low) {
            throw parameters.problem("high_freq_factor", "more than low_freq_factor, which is " + low);
        }
        return new RopeScaling.Llama3(
                requiredFactor(parameters), low, high, originalPositions(config, parameters, maxPositions));
    }

    private static RopeScaling yarn(JsonObject config, JsonObject parameters, int maxPositions) {
        int original = originalPositions(config, parameters, maxPositions);
        double factor = factor(parameters).orElse((double) maxPositions / original);
        double betaFast = orDefault(parameters.number("beta_fast", 0, 1e6), 32);
        double betaSlow = orDefault(parameters.number("beta_slow", 0, 1e6), 1);
        if (betaFast < betaSlow) {
            throw parameters.problem("beta_fast", "at least beta_slow, which is " + betaSlow);
        }
        return new RopeScaling.Yarn(
                factor,
                original,
                parameters.number("attention_factor", 1e-6, 1e6),
                parameters.number("mscale", 0, 1e6),
                parameters.number("mscale_all_dim", 0, 1e6),
                betaFast,
                betaSlow,
                parameters.bool("truncate", true));
    }

    /** As in Python, zero counts as not set. */
    private static double orDefault(OptionalDouble value, double byDefault) {
        return value.orElse(0) == 0 ? byDefault : value.getAsDouble();
    }

    private static int originalPositions(JsonObject config, JsonObject parameters, int maxPositions) {
        // A value beside the other keys has priority over the one among the parameters, as in transformers.
        JsonObject holder = config.isSet(ORIGINAL_POSITIONS) ? config : parameters;
        return Math.toIntExact(
                holder.integer(ORIGINAL_POSITIONS, 1, MAX_POSITIONS).orElse(maxPositions));
    }

    private static OptionalDouble factor(JsonObject parameters) {
        return parameters.number(FACTOR, 1e-3, 1e6);
    }

    private static double requiredFactor(JsonObject parameters) {
        return factor(parameters).orElseThrow(() -> parameters.problem(FACTOR, "a number from 0.001 to 1000000"));
    }

    private static double required(JsonObject parameters, String key) {
        return parameters
                .number(key, 1e-3, 1e6)
                .orElseThrow(() -> parameters.problem(key, "a number from 0.001 to 1000000"));
    }
}
