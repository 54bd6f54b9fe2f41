package org.duoattention.examples.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionOptions;
import org.duoattention.core.session.SessionPlan;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.task.PasskeyTask;
import org.duoattention.identify.text.HaystackText;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo needle}: hides passkeys in long texts and compares what the cache policies find again. */
@Command(
        name = "needle",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Hides passkeys in long texts and asks for one, under each cache policy.",
            "Needles stay clear of the sinks and of the recent window with one chunk before it, so that streaming heads"
                    + " cannot hold them. Depth 0 is the first such place, depth 1 the last.",
            "Without --model a small model that comes with the program is used, with its own retrieval heads."
        })
final class NeedleCommand implements Callable<Integer> {
    /** Small enough that streaming heads lose the needle in short contexts too. */
    private static final int EMBEDDED_CHUNK = 128;

    private static final int DEFAULT_CHUNK = SessionBuilder.DEFAULT_CHUNK;
    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            description = "Checkpoint directory, or GGUF file (default: the embedded model).")
    private @Nullable Path modelPath;

    @Option(
            names = "--contexts",
            split = ",",
            paramLabel = "N",
            defaultValue = "512,1024,2048",
            description = "Context lengths in tokens, prompt and answer together (default: ${DEFAULT-VALUE}).")
    private List<Integer> contexts = new ArrayList<>();

    @Option(
            names = "--depths",
            paramLabel = "N",
            defaultValue = "5",
            description = "Number of depths, spread evenly from 0 to 1 (default: ${DEFAULT-VALUE}).")
    private int depths;

    @Option(
            names = "--samples",
            paramLabel = "N",
            defaultValue = "3",
            description = "Prompts per context and depth (default: ${DEFAULT-VALUE}).")
    private int samples;

    @Mixin
    private PasskeyOptions passkeys = new PasskeyOptions();

    @Option(
            names = "--policies",
            split = ",",
            paramLabel = "NAME",
            defaultValue = "full,duo,streaming",
            description = "Cache policies to compare (default: ${DEFAULT-VALUE}).")
    private List<String> policies = new ArrayList<>();

    @Mixin
    private CacheOptions cache = new CacheOptions();

    @Mixin
    private ModelOptions model = new ModelOptions();

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "out/needle",
            description = "Directory for a heat map per policy (default: ${DEFAULT-VALUE}).")
    private Path out = Path.of("out", "needle");

    @Option(
            names = "--keep",
            paramLabel = "DIR",
            description =
                    "Keep the caches of prompts in DIR, every 65,536 tokens and when interrupted: the same command"
                            + " goes on from there. For contexts that take hours.")
    private @Nullable Path keep;

    @Mixin
    private JsonOption json = new JsonOption();

    @Option(names = "--quiet", description = "No progress.")
    private boolean quiet;

    NeedleCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        NeedleGrid grid = passkeys.grid(contexts, depths, samples);
        Duo duo = Wiring.duo();
        if (policies.isEmpty() || new HashSet<>(policies).size() < policies.size()) {
            throw new DuoException("--policies " + String.join(",", policies) + " names a policy twice or none");
        }
        cache.check(duo, policies, modelPath == null);
        json.check();
        Outputs.checkDirectory(out, "--out");
        if (keep != null) {
            if (!Files.isDirectory(keep)) {
                throw new DuoException("--keep " + keep + " is not a directory; make it first");
            }
            Outputs.checkDirectory(keep, "--keep");
        }
        HaystackText haystack = passkeys.haystack();
        EmbeddedModel.unless(modelPath, (directory, heads) -> run(duo, grid, haystack, directory, heads));
        return ExitCode.OK;
    }

    private void run(Duo duo, NeedleGrid grid, HaystackText haystack, Path directory, Optional<Path> defaultPattern) {
        try (Model opened = model.open(duo, directory)) {
            Tokenizer tokenizer = opened.tokenizer()
                    .orElseThrow(() -> new DuoException("--model " + directory
                            + " has no tokenizer, which needle needs to write its prompts; add its tokenizer.json"));
            Optional<CacheOptions.Heads> heads = cache.heads(duo, opened, defaultPattern);
            int chunk = defaultPattern.isPresent() ? EMBEDDED_CHUNK : DEFAULT_CHUNK;
            Map<String, SessionBuilder> sessions = new LinkedHashMap<>();
            for (String policy : policies) {
                sessions.put(policy, cache.session(duo, opened, policy, heads, chunk));
            }
            SessionOptions window = plan(duo, opened, sessions, grid);
            PasskeyTask task = new PasskeyTask(haystack, tokenizer::encode);
            int reach = window.recent() + (window.prefillMode() == PrefillMode.UPSTREAM ? window.chunk() : 0);
            long total = grid.promptTokens() * sessions.size();
            List<NeedleResult> results;
            try (Progress progress = new Progress(console, quiet, "needle", total)) {
                NeedleRun run = new NeedleRun(
                        task,
                        grid,
                        sessions,
                        window.sinks(),
                        reach,
                        task.answerTokens(grid.words()),
                        Optional.ofNullable(keep),
                        progress);
                results = run.run();
                if (run.repeats() > 0 && !quiet) {
                    console.err()
                            .println("note: the haystack is shorter than the longest context and was begun again "
                                    + run.repeats() + " times");
                }
            }
            write(new NeedleReport(grid, policies, settings(opened, grid, haystack, window, heads), results));
        }
    }

    /**
     * Plans every session, so that what cannot run is refused before the first prompt.
     *
     * @return the settings of the longest context, from a policy with a window if there is one
     */
    private static SessionOptions plan(Duo duo, Model model, Map<String, SessionBuilder> sessions, NeedleGrid grid) {
        SessionOptions chosen = null;
        for (String policy : sessions.keySet()) {
            SessionBuilder builder = sessions.get(policy);
            boolean window = duo.policies().require(policy).inputs().contains(PlanInput.WINDOW);
            for (int context : grid.contexts()) {
                SessionPlan plan = builder.maxContext(context).rollbackMargin(0).plan();
                long needed = Math.addExact(plan.kvBytes(), plan.activationBytes());
                long available = model.device().availableBytes();
                if (needed > available) {
                    throw new DuoException("--contexts " + context + " needs " + needed + " bytes with policy " + policy
                            + ", " + available + " are available; ask for a shorter context");
                }
                if (context == grid.longestContext() && (chosen == null || window)) {
                    chosen = plan.options();
                }
            }
        }
        if (chosen == null) {
            throw new IllegalStateException("no session was planned");
        }
        return chosen;
    }

    private ObjectNode settings(
            Model opened,
            NeedleGrid grid,
            HaystackText haystack,
            SessionOptions options,
            Optional<CacheOptions.Heads> heads) {
        ObjectNode settings = JsonOption.object()
                .put("model", opened.name())
                .put("backend", opened.device().backendId())
                .put("device", opened.device().description())
                .put("haystack", haystack.name())
                .put("seed", grid.seed())
                .put("samples", grid.samples())
                .put("needles", grid.needles())
                .put("words", grid.words())
                .put("sink", options.sinks())
                .put("recent", options.recent())
                .put("chunk", options.chunk())
                .put("prefillMode", options.prefillMode().name().toLowerCase(Locale.ROOT))
                .put("kv", KvType.name(options.kv(), opened.shape().headDim()))
                .put(
                        "streamingKv",
                        KvType.name(options.streamingKv(), opened.shape().headDim()));
        heads.ifPresent(chosen -> settings.put("retrievalHeads", chosen.mask().retrievalCount())
                .put("heads", chosen.mask().headCount()));
        return settings;
    }

    private void write(NeedleReport report) {
        Console results = json.console(console);
        report.printTable(results.out());
        json.write(report.json(), console);
        for (String policy : policies) {
            byte[] image;
            try {
                image = report.heatMap(policy);
            } catch (LinkageError | InternalError | RuntimeException e) {
                // A runtime without java.desktop, or a machine without fonts: what took hours is not lost for it.
                results.err().println("duo: no heat maps, because this machine's Java cannot draw: " + e);
                return;
            }
            Outputs.write(out.resolve("needle-" + policy + ".png"), image, "--out");
        }
        if (!quiet) {
            results.err().println("heat maps: " + out.resolve("needle-*.png"));
        }
    }
}
