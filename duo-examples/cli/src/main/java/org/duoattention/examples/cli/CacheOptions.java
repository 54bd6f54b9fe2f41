package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.core.DuoException;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.source.ModelFingerprint;
import org.duoattention.identify.train.RunDescription;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What the cache keeps: retrieval heads, window, chunks and storage format. */
final class CacheOptions {
    private static final String ALL = "all";
    private static final String NONE = "none";
    /** The embedded pattern holds zeros and ones. */
    private static final double DEFAULT_PATTERN_THRESHOLD = 0.5;

    @Option(
            names = "--heads",
            paramLabel = "DIR|all|none",
            description = "Retrieval heads: a pattern directory (full_attention_heads.tsv, config.json), all or none.")
    private @Nullable String heads;

    @Option(
            names = "--sparsity",
            paramLabel = "S",
            description =
                    "Share of the pattern's heads that stream, 0 to 1 (default: 0.5); ties go by layer, then head.")
    private @Nullable Double sparsity;

    @Option(
            names = "--threshold",
            paramLabel = "T",
            description = "Instead of --sparsity: heads that score at least T are retrieval heads.")
    private @Nullable Double threshold;

    @Option(
            names = "--mask",
            paramLabel = "FILE.tsv",
            description = "Retrieval heads as 0 and 1: a line per layer, a tab-separated column per KV head.")
    private @Nullable Path mask;

    @Option(
            names = "--sink",
            paramLabel = "N",
            description = "First tokens that streaming heads keep (default: the pattern's, else 64).")
    private @Nullable Integer sink;

    @Option(
            names = "--recent",
            paramLabel = "N",
            description = "Last tokens that streaming heads keep (default: the pattern's, else 256).")
    private @Nullable Integer recent;

    @Option(
            names = "--chunk",
            paramLabel = "N",
            description = "Tokens per prefill chunk; streaming heads see all of their chunk in upstream mode.")
    private @Nullable Integer chunk;

    @Option(
            names = "--prefill-mode",
            paramLabel = "upstream|window",
            converter = Choices.Mode.class,
            defaultValue = "upstream",
            description = "What streaming heads see of their chunk: all of it, or sink and recent only"
                    + " (default: ${DEFAULT-VALUE}).")
    private PrefillMode prefillMode = PrefillMode.UPSTREAM;

    @Mixin
    private KvOptions kv = new KvOptions();

    @Spec(Spec.Target.MIXEE)
    private @Nullable CommandSpec command;

    /**
     * The retrieval heads that were chosen.
     *
     * @param mask the heads
     * @param pattern the pattern directory they come from, whose window is the default
     */
    record Heads(HeadMask mask, Optional<HeadPattern> pattern) {}

    /** Whether the user said anything about retrieval heads. */
    boolean namesHeads() {
        return heads != null || mask != null || sparsity != null || threshold != null;
    }

    /**
     * Refuses values out of range and options that contradict each other or that none of the policies uses.
     *
     * @param hasDefaultPattern whether the model brings a pattern, to which sparsity and threshold may apply
     */
    void check(Duo duo, List<String> policies, boolean hasDefaultPattern) {
        Ranges.atLeast("--sink", sink, 0);
        Ranges.atLeast("--recent", recent, 1);
        Ranges.atLeast("--chunk", chunk, 1);
        Ranges.share("--sparsity", sparsity);
        Ranges.share("--threshold", threshold);
        exclusive("--heads", heads, "--mask", mask);
        exclusive("--sparsity", sparsity, "--threshold", threshold);
        String selection = sparsity != null ? "--sparsity" : "--threshold";
        boolean pattern = heads == null ? mask == null && hasDefaultPattern : !heads.equals(ALL) && !heads.equals(NONE);
        if ((sparsity != null || threshold != null) && !pattern) {
            throw new DuoException(
                    selection + " chooses heads of a pattern; give its directory with --heads DIR, or leave "
                            + selection + " out");
        }
        PolicyInputs inputs = PolicyInputs.of(duo, policies);
        inputs.checkHeads(namesHeads() ? (mask != null ? "--mask" : "--heads") : null);
        inputs.checkWindow(sink, recent);
        kv.check(inputs);
    }

    /** Whether the user chose among a pattern's heads, or gave heads that are no pattern. */
    boolean selects() {
        return sparsity != null || threshold != null || mask != null || ALL.equals(heads) || NONE.equals(heads);
    }

    /** Refuses another way to choose heads beside an option. */
    void refuseSelection(String option) {
        exclusive(option, option, "--sparsity", sparsity);
        exclusive(option, option, "--threshold", threshold);
        exclusive(option, option, "--mask", mask);
        exclusive(option, option, "--heads " + heads, ALL.equals(heads) || NONE.equals(heads) ? heads : null);
    }

    /**
     * The retrieval heads for a model.
     *
     * @param defaultPattern the pattern to take when the user chose none
     * @return empty when there is neither a choice nor a default
     */
    Optional<Heads> heads(Duo duo, Model model, Optional<Path> defaultPattern) {
        if (mask != null) {
            return Optional.of(new Heads(ask(duo, model, "mask", Map.of("file", mask.toString())), Optional.empty()));
        }
        if (heads != null && (heads.equals(ALL) || heads.equals(NONE))) {
            return Optional.of(new Heads(ask(duo, model, heads, Map.of()), Optional.empty()));
        }
        Optional<Path> directory = heads == null ? defaultPattern : Optional.of(Path.of(heads));
        return directory.map(pattern -> {
            Map<String, String> options = new TreeMap<>();
            options.put("directory", pattern.toString());
            if (sparsity != null) {
                options.put("sparsity", sparsity.toString());
            } else if (threshold != null || heads == null) {
                options.put("threshold", String.valueOf(threshold == null ? DEFAULT_PATTERN_THRESHOLD : threshold));
            }
            HeadMask chosen = ask(duo, model, "pattern", options);
            HeadPattern read = PatternDirectory.read(pattern);
            warnOfAnotherModel(read, pattern, model);
            return new Heads(chosen, Optional.of(read));
        });
    }

    private void warnOfAnotherModel(HeadPattern pattern, Path directory, Model model) {
        if (command != null) {
            noteOfAnotherModel(pattern, directory, model)
                    .ifPresent(command.commandLine().getErr()::println);
        }
    }

    /** A sentence about a pattern that was made for other weights; empty when it was not, or does not say. */
    static Optional<String> noteOfAnotherModel(HeadPattern pattern, Path directory, Model model) {
        Object made = pattern.settings().get(RunDescription.MODEL_FINGERPRINT);
        return made == null || made.equals(ModelFingerprint.of(model.config(), model.weights()))
                ? Optional.empty()
                : Optional.of("note: the heads in " + directory + " were identified on other weights than those of "
                        + model.name() + ": another model, or another copy of it, such as a quantised one");
    }

    private static HeadMask ask(Duo duo, Model model, String source, Map<String, String> options) {
        try {
            return duo.headMaskSources()
                    .require(source)
                    .headMask(new HeadMaskRequest(model.shape(), Optional.of(model.directory()), options));
        } catch (IllegalArgumentException e) {
            throw new DuoException((source.equals("mask") ? "--mask: " : "--heads: ") + e.getMessage(), e);
        }
    }

    /**
     * A session builder with these settings, as far as the policy uses them.
     *
     * @param defaultChunk tokens per chunk unless the user says otherwise
     * @throws DuoException when the policy needs heads and there are none
     */
    SessionBuilder session(Duo duo, Model model, String policy, Optional<Heads> chosen, int defaultChunk) {
        SessionBuilder builder = model.session()
                .policy(policy)
                .chunk(chunk == null ? defaultChunk : chunk)
                .prefillMode(prefillMode);
        Set<PlanInput> inputs = duo.policies().require(policy).inputs();
        kv.apply(builder, model.shape().headDim(), inputs);
        if (inputs.contains(PlanInput.HEADS)) {
            builder.heads(chosen.orElseThrow(() -> new DuoException("policy " + policy
                            + " needs to know the retrieval heads of " + model.name()
                            + "; give --heads DIR, --heads all, --heads none or --mask FILE.tsv"))
                    .mask());
        }
        if (inputs.contains(PlanInput.WINDOW)) {
            Optional<HeadPattern> pattern = chosen.flatMap(Heads::pattern);
            Integer sinks =
                    sink != null ? sink : pattern.map(HeadPattern::sinkSize).orElse(null);
            Integer last = recent != null
                    ? recent
                    : pattern.map(HeadPattern::recentSize).orElse(null);
            if (sinks != null) {
                builder.sinks(sinks);
            }
            if (last != null) {
                builder.recent(last);
            }
        }
        return builder;
    }

    /**
     * Tokens that a context has at least: a window that the pattern brings is no reason to refuse a short prompt, one that
     * the user asked for is.
     */
    long leastContext(Optional<Heads> chosen) {
        return sink != null || recent != null
                ? 0
                : chosen.flatMap(Heads::pattern)
                        .map(pattern -> (long) pattern.sinkSize() + pattern.recentSize())
                        .orElse(0L);
    }

    private static void exclusive(String one, @Nullable Object first, String other, @Nullable Object second) {
        if (first != null && second != null) {
            throw new DuoException(one + " and " + other + " exclude each other; give one of them");
        }
    }
}
