package org.duoattention.core.load.gguf;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.RopeConfig;
import org.duoattention.core.model.RopeScaling;
import org.jspecify.annotations.Nullable;

/**
 * The rotary embedding of a file: {@code rope.*} of the metadata, and the tensor {@code rope_freqs.weight}, which divides
 * the frequencies pair by pair (Llama 3.1 and later are converted so, instead of naming their scaling).
 */
final class GgufRope {
    private static final double DEFAULT_THETA = 10_000;
    private static final int MAX_POSITIONS = 1 << 30;

    private final GgufMetadata metadata;
    private final String prefix;

    private GgufRope(GgufMetadata metadata, String architecture) {
        this.metadata = metadata;
        this.prefix = architecture + ".rope.";
    }

    static RopeConfig read(GgufContent content, String architecture, int headDim, int maxPositions) {
        GgufRope rope = new GgufRope(content.metadata(), architecture);
        rope.checkWidth(headDim);
        double theta =
                rope.metadata.number(rope.prefix + "freq_base", 1.001, 1e30).orElse(DEFAULT_THETA);
        StoredGgufTensor divisors = content.tensors().get(TensorNames.ROPE_DIVISORS);
        return new RopeConfig(theta, rope.scaling(divisors, headDim, maxPositions));
    }

    private void checkWidth(int headDim) {
        String key = prefix + "dimension_count";
        long width = metadata.integer(key, 0, Integer.MAX_VALUE).orElse(headDim);
        if (width != headDim) {
            throw metadata.problem(
                    key,
                    String.valueOf(width),
                    headDim + ", the width of a head; heads that are rotated in part are not supported");
        }
    }

    private RopeScaling scaling(@Nullable StoredGgufTensor divisors, int headDim, int maxPositions) {
        String key = prefix + "scaling.type";
        // Files from before 2024 have scale_linear alone.
        OptionalDouble oldFactor = metadata.number(prefix + "scale_linear", 1e-3, 1e6);
        String type = metadata.string(key).orElse(oldFactor.isPresent() ? "linear" : "none");
        double factor = metadata.number(prefix + "scaling.factor", 0, 1e6).orElse(oldFactor.orElse(1));
        if (factor == 0) {
            // llama.cpp takes zero for not set.
            factor = 1;
        }
        refuseUnlessNeutral("scaling.yarn_log_multiplier", 0);
        refuseUnlessNeutral("scaling.yarn_ext_factor", 1);
        refuseUnlessNeutral("scaling.yarn_attn_factor", 1);
        if (divisors != null) {
            if (!type.equals("none")) {
                throw metadata.problem(key, type, "none beside the tensor " + TensorNames.ROPE_DIVISORS);
            }
            refuseUnlessNeutral("scaling.attn_factor", 1);
            return new RopeScaling.Divided(divisors(divisors, headDim / 2));
        }
        return switch (type) {
            case "none" -> {
                refuseUnlessNeutral("scaling.attn_factor", 1);
                yield new RopeScaling.None();
            }
            case "linear" -> {
                refuseUnlessNeutral("scaling.attn_factor", 1);
                yield factor == 1 ? new RopeScaling.None() : new RopeScaling.Linear(factor);
            }
            case "yarn" -> yarn(factor, maxPositions);
            default -> throw metadata.problem(key, type, "a supported rotation: none, linear or yarn");
        };
    }

    private RopeScaling yarn(double factor, int maxPositions) {
        int original = (int) metadata.integer(prefix + "scaling.original_context_length", 1, MAX_POSITIONS)
                .orElse(maxPositions);
        double betaFast =
                metadata.number(prefix + "scaling.yarn_beta_fast", 1e-3, 1e6).orElse(32);
        double betaSlow =
                metadata.number(prefix + "scaling.yarn_beta_slow", 1e-3, 1e6).orElse(1);
        if (betaFast < betaSlow) {
            throw metadata.problem(
                    prefix + "scaling.yarn_beta_fast", String.valueOf(betaFast), "at least yarn_beta_slow");
        }
        // The factor in the file multiplies the one that follows from the stretch.
        OptionalDouble given = metadata.number(prefix + "scaling.attn_factor", 1e-6, 1e6);
        OptionalDouble attention = given.isPresent()
                ? OptionalDouble.of(given.getAsDouble() * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1))
                : OptionalDouble.empty();
        return new RopeScaling.Yarn(
                factor, original, attention, OptionalDouble.empty(), OptionalDouble.empty(), betaFast, betaSlow, true);
    }

    private void refuseUnlessNeutral(String key, double neutral) {
        double value = metadata.number(prefix + key, -1e9, 1e9).orElse(neutral);
        if (value != neutral) {
            throw metadata.problem(prefix + key, String.valueOf(value), neutral + "; other values are not supported");
        }
    }

    private static List<Float> divisors(StoredGgufTensor stored, int pairs) {
        String tensor = stored.file() + ": tensor " + TensorNames.ROPE_DIVISORS;
        long[] shape = stored.info().shape();
        if (stored.info().type() != GgufType.F32 || shape.length != 1 || shape[0] != pairs) {
            throw new DuoException(tensor + " is " + stored.info().type() + " " + Arrays.toString(shape)
                    + ", expected F32 [" + pairs + "], one divisor for each pair of a head");
        }
        HostTensor values = new HostTensor(TensorSpec.of(DType.F32, shape), stored.data());
        List<Float> divisors = new ArrayList<>();
        for (int i = 0; i < pairs; i++) {
            float divisor = values.floatAt(i);
            if (!(divisor >= 1e-6f && divisor <= 1e6f)) {
                throw new DuoException(tensor + " holds " + divisor + " for pair " + i
                        + ", expected a number from 1e-6 to 1e6; the file is damaged, download it again");
            }
            divisors.add(divisor);
        }
        return divisors;
    }
}
