package org.duoattention.examples.cli;

import java.util.List;
import java.util.Set;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Planner;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.examples.cli.synthetic.EvenHeads;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What the cache of a shape without weights keeps: a share of retrieval heads, window, chunks and storage format. */
final class PlanOptions {
    @Mixin
    private KvOptions kv = new KvOptions();

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

    KvType kv() {
        return kv.kv();
    }

    /** Takes a share of retrieval heads where one of the policies needs it and the user gave none. */
    void assumeRetrieval(Duo duo, List<String> policies, double share) {
        if (retrieval == null && PolicyInputs.of(duo, policies).contains(PlanInput.HEADS)) {
            retrieval = share;
        }
    }

    /** Refuses values out of range, and options that none of the policies uses. */
    void check(Duo duo, List<String> policies) {
        Ranges.atLeast("--sink", sink, 0);
        Ranges.atLeast("--recent", recent, 1);
        Ranges.atLeast("--chunk", chunk, 1);
        Ranges.share("--retrieval", retrieval);
        PolicyInputs inputs = PolicyInputs.of(duo, policies);
        inputs.checkHeads(retrieval != null ? "--retrieval" : null);
        if (retrieval == null && inputs.contains(PlanInput.HEADS)) {
            throw new DuoException("policy duo needs to know how many heads are retrieval heads; give --retrieval, for"
                    + " example 0.5");
        }
        inputs.checkWindow(sink, recent);
        kv.check(inputs);
    }

    /** A session builder with these settings, as far as the policy uses them. */
    SessionBuilder session(Duo duo, Planner planner, String policy) {
        SessionBuilder builder = planner.session().policy(policy).chunk(chunk);
        Set<PlanInput> inputs = duo.policies().require(policy).inputs();
        kv.apply(builder, planner.config().shape().headDim(), inputs);
        if (inputs.contains(PlanInput.HEADS) && retrieval != null) {
            builder.heads(EvenHeads.mask(planner.config().shape(), retrieval));
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
}
