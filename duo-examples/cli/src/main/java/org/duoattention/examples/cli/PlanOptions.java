package org.duoattention.examples.cli;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Planner;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.examples.cli.synthetic.EvenHeads;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What the cache of a shape without weights keeps: a share of retrieval heads, window, chunks and storage format. */
final class PlanOptions {
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

    @Option(
            names = "--retrieval",
            paramLabel = "R",
            description = "Share of the KV heads that are retrieval heads, 0 to 1.")
    private @Nullable Double retrieval;

    @Option(names = "--sink", paramLabel = "N", description = "First tokens that streaming heads keep (default: 64).")
    private @Nullable Integer sink;

    @Option(names = "--recent", paramLabel = "N", description = "Last tokens that streaming heads keep (default: 256).")
    private @Nullable Integer recent;

    @Option(
            names = "--chunk",
            paramLabel = "N",
            defaultValue = "" + SessionBuilder.DEFAULT_CHUNK,
            description = "Tokens per prefill chunk (default: ${DEFAULT-VALUE}).")
    private int chunk = SessionBuilder.DEFAULT_CHUNK;

    @Nullable
    Double retrieval() {
        return retrieval;
    }

    int chunk() {
        return chunk;
    }

    /** Takes a share of retrieval heads where one of the policies needs it and the user gave none. */
    void assumeRetrieval(Duo duo, List<String> policies, double share) {
        if (retrieval == null
                && policies.stream()
                        .anyMatch(policy ->
                                duo.policies().require(policy).inputs().contains(PlanInput.HEADS))) {
            retrieval = share;
        }
    }

    /** Refuses values out of range, and options that none of the policies uses. */
    void check(Duo duo, List<String> policies) {
        atLeast("--sink", sink, 0);
        atLeast("--recent", recent, 1);
        atLeast("--chunk", chunk, 1);
        if (retrieval != null && !(retrieval >= 0 && retrieval <= 1)) {
            throw new DuoException("--retrieval is " + retrieval + "; it must lie between 0 and 1");
        }
        Set<PlanInput> inputs = policies.stream()
                .flatMap(policy -> duo.policies().require(policy).inputs().stream())
                .collect(Collectors.toSet());
        String which = policies.size() == 1
                ? "policy " + policies.getFirst() + " does not use "
                : "none of " + policies + " uses ";
        if (retrieval != null && !inputs.contains(PlanInput.HEADS)) {
            throw new DuoException(which + "retrieval heads; leave --retrieval out, or choose policy duo");
        }
        if (retrieval == null && inputs.contains(PlanInput.HEADS)) {
            throw new DuoException("policy duo needs to know how many heads are retrieval heads; give --retrieval, for"
                    + " example 0.5");
        }
        if ((sink != null || recent != null) && !inputs.contains(PlanInput.WINDOW)) {
            throw new DuoException(which + "sink and recent tokens; leave " + (sink != null ? "--sink" : "--recent")
                    + " out, or choose policy duo or streaming");
        }
        if (streamingKv != null && !inputs.contains(PlanInput.WINDOW)) {
            throw new DuoException((policies.size() == 1
                            ? "policy " + policies.getFirst() + " has no"
                            : "none of " + policies + " has")
                    + " streaming heads; leave --streaming-kv out, or choose policy duo or"
                    + " streaming");
        }
    }

    /** A session builder with these settings, as far as the policy uses them. */
    SessionBuilder session(Duo duo, Planner planner, String policy) {
        int headDim = planner.config().shape().headDim();
        SessionBuilder builder =
                planner.session().policy(policy).kv(kv.format(headDim)).chunk(chunk);
        Set<PlanInput> inputs = duo.policies().require(policy).inputs();
        if (inputs.contains(PlanInput.HEADS) && retrieval != null) {
            builder.heads(EvenHeads.mask(planner.config().shape(), retrieval));
        }
        if (inputs.contains(PlanInput.WINDOW) && streamingKv != null) {
            builder.streamingKv(streamingKv.format(headDim));
        }
        if (inputs.contains(PlanInput.WINDOW) && sink != null) {
            builder.sinks(sink);
        }
        if (inputs.contains(PlanInput.WINDOW) && recent != null) {
            builder.recent(recent);
        }
        return builder;
    }

    /** Tokens that a context has at least: the window must fit in it. */
    long leastContext() {
        if (sink == null && recent == null) {
            // The defaults shrink with the context.
            return 1;
        }
        return (long) (sink == null ? SessionBuilder.DEFAULT_SINKS : sink)
                + (recent == null ? SessionBuilder.DEFAULT_RECENT : recent);
    }

    private static void atLeast(String option, @Nullable Integer value, int minimum) {
        if (value != null && value < minimum) {
            throw new DuoException(option + " is " + value + "; it must be at least " + minimum);
        }
    }
}
