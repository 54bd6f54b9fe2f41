package org.duoattention.examples.cli;

import java.util.Set;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.session.SessionBuilder;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How keys and values are stored. */
final class KvOptions {
    @Option(
            names = "--kv",
            paramLabel = "TYPE",
            converter = Choices.Kv.class,
            defaultValue = "f16",
            description = "Storage of keys and values: f32, f16, bf16, int8 or int4, the last two also with a group"
                    + " (int4/32; default group: the head) (default: ${DEFAULT-VALUE}).")
    private KvType kv = KvType.parse("f16");

    @Option(
            names = "--streaming-kv",
            paramLabel = "TYPE",
            converter = Choices.Kv.class,
            description = "Storage of streaming heads, if it is to differ from --kv.")
    private @Nullable KvType streamingKv;

    /** Storage of keys and values. */
    KvType kv() {
        return kv;
    }

    /** Refuses {@code --streaming-kv} when no policy has streaming heads. */
    void check(PolicyInputs inputs) {
        if (streamingKv != null && !inputs.contains(PlanInput.WINDOW)) {
            throw new DuoException(inputs.deny("has no", "has")
                    + " streaming heads; leave --streaming-kv out, or choose policy duo or streaming");
        }
    }

    /** Sets the formats for heads of a size, as far as a policy with these inputs uses them. */
    void apply(SessionBuilder builder, int headDim, Set<PlanInput> inputs) {
        builder.kv(kv.format(headDim));
        if (streamingKv != null && inputs.contains(PlanInput.WINDOW)) {
            builder.streamingKv(streamingKv.format(headDim));
        }
    }
}
