package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionOptions;
import org.duoattention.core.session.SessionPlan;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.task.KeptHeads;
import org.duoattention.identify.task.PasskeyEvaluation;
import org.duoattention.identify.task.PasskeyTask;
import org.duoattention.identify.text.HaystackText;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo eval passkey}: how many passkeys are found with a share of a pattern's heads as retrieval heads. */
@Command(
        name = "passkey",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Measures passkey accuracy: the share of passkeys, hidden in fresh texts, that a model repeats word by word.",
            "Every text is read once per cache and asked for each of its passkeys; between questions the cache is rolled"
                    + " back exactly. Passkeys stay clear of the sinks and of the recent window with one chunk before it.",
            "Without --model a small model that comes with the program is used, with its own retrieval heads."
        })
final class PasskeyCommand implements Callable<Integer> {
    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            description = "Checkpoint directory, or GGUF file (default: the embedded model).")
    private @Nullable Path modelPath;

    @Option(
            names = "--policies",
            split = ",",
            paramLabel = "NAME",
            defaultValue = "full,duo,streaming",
            description = "Cache policies to compare (default: ${DEFAULT-VALUE}).")
    private List<String> policies = new ArrayList<>();

    @Option(
            names = "--fractions",
            split = ",",
            paramLabel = "F",
            description = "Shares of the pattern's heads that are kept as retrieval heads, best scores first, 0 to 1"
                    + " (default: 0,0.25,0.5,1).")
    private @Nullable List<Double> fractions;

    @Option(
            names = "--contexts",
            split = ",",
            paramLabel = "N",
            defaultValue = "512,1024",
            description = "Context lengths in tokens, text, question and answer together (default: ${DEFAULT-VALUE}).")
    private List<Integer> contexts = new ArrayList<>();

    @Mixin
    private PasskeyOptions passkeys = new PasskeyOptions();

    @Option(
            names = "--samples",
            paramLabel = "N",
            defaultValue = "200",
            description = "Questions per context (default: ${DEFAULT-VALUE}).")
    private int samples;

    @Mixin
    private CacheOptions cache = new CacheOptions();

    @Mixin
    private ModelOptions model = new ModelOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    @Option(names = "--quiet", description = "No progress.")
    private boolean quiet;

    PasskeyCommand(Console console) {
        this.console = console;
    }

    /**
     * A row of the result.
     *
     * @param fraction share of heads that keep everything, as asked for; of policies that take no heads what they keep
     */
    private record Row(String policy, double fraction, int context, PasskeyEvaluation.Result result) {}

    /** What is measured, by policy and fraction as asked for. */
    private record Subject(String policy, @Nullable Double fraction) {}

    @Override
    public Integer call() {
        // Refuses what is out of range as the needle command does.
        NeedleGrid grid = passkeys.grid(contexts, 1, samples);
        Duo duo = Wiring.duo();
        if (policies.isEmpty() || new HashSet<>(policies).size() < policies.size()) {
            throw new DuoException("--policies " + String.join(",", policies) + " names a policy twice or none");
        }
        cache.check(duo, policies, modelPath == null);
        PolicyInputs.of(duo, policies).checkHeads(fractions != null ? "--fractions" : null);
        checkFractions();
        json.check();
        HaystackText haystack = passkeys.haystack();
        EmbeddedModel.unless(modelPath, (directory, heads) -> run(duo, grid, haystack, directory, heads));
        return ExitCode.OK;
    }

    private void checkFractions() {
        if (fractions == null) {
            return;
        }
        Ranges.shares("--fractions", fractions);
        cache.refuseSelection("--fractions");
    }

    private void run(Duo duo, NeedleGrid grid, HaystackText haystack, Path directory, Optional<Path> defaultPattern) {
        try (Model opened = model.open(duo, directory)) {
            Tokenizer tokenizer = opened.tokenizer()
                    .orElseThrow(() -> new DuoException("--model " + directory
                            + " has no tokenizer, which passkeys need to be written; add its tokenizer.json"));
            Optional<CacheOptions.Heads> heads = cache.heads(duo, opened, defaultPattern);
            PasskeyTask task = new PasskeyTask(haystack, tokenizer::encode);
            List<PasskeyEvaluation> evaluations = new ArrayList<>();
            List<Map<Subject, SessionBuilder>> subjects = new ArrayList<>();
            long total = 0;
            for (int context : grid.contexts()) {
                PasskeyEvaluation evaluation = new PasskeyEvaluation(
                        task,
                        opened.device().capabilities(),
                        new PasskeyEvaluation.Settings(
                                context, grid.needles(), grid.words(), grid.samples(), grid.seed()));
                Map<Subject, SessionBuilder> sessions = sessions(duo, opened, heads, context);
                Map<Subject, SessionPlan> plans = evaluation.plan(sessions);
                checkMemory(opened, plans, context);
                noteWindows(plans, context);
                total += evaluation.tokens(PasskeyEvaluation.distinct(plans));
                evaluations.add(evaluation);
                subjects.add(sessions);
            }
            List<Row> rows = new ArrayList<>();
            int repeats = 0;
            try (Progress progress = new Progress(console, quiet, "passkey", total)) {
                for (int i = 0; i < evaluations.size(); i++) {
                    int context = grid.contexts().get(i);
                    evaluations.get(i).run(subjects.get(i), progress::add).forEach((subject, result) -> {
                        Row row = new Row(subject.policy(), fraction(subject, result), context, result);
                        progress.line(String.format(
                                Locale.ROOT,
                                "context %d, policy %s, kept %s: %d of %d exact",
                                context,
                                row.policy(),
                                percent(row.fraction()),
                                result.exact(),
                                result.samples()));
                        rows.add(row);
                    });
                    repeats = Math.max(repeats, evaluations.get(i).repeats());
                }
            }
            if (repeats > 0 && !quiet) {
                console.err().println("note: the haystack is shorter than a text and was begun again");
            }
            write(opened, haystack, grid, rows);
        }
    }

    /** One subject per policy, and per fraction where the policy takes heads of a pattern. */
    private Map<Subject, SessionBuilder> sessions(
            Duo duo, Model opened, Optional<CacheOptions.Heads> heads, int context) {
        Map<Subject, SessionBuilder> sessions = new LinkedHashMap<>();
        int chunk = PasskeyEvaluation.chunk(context);
        for (String policy : policies) {
            boolean usesHeads = duo.policies().require(policy).inputs().contains(PlanInput.HEADS);
            Optional<HeadPattern> pattern = heads.flatMap(CacheOptions.Heads::pattern);
            if (!usesHeads || cache.selects() || pattern.isEmpty() && fractions == null) {
                sessions.put(new Subject(policy, null), cache.session(duo, opened, policy, heads, chunk));
                continue;
            }
            HeadPattern ranked = pattern.orElseThrow(() -> new DuoException("--fractions chooses heads of a pattern;"
                    + " give its directory with --heads DIR, or leave --fractions out"));
            for (double fraction : fractions == null ? List.of(0.0, 0.25, 0.5, 1.0) : fractions) {
                CacheOptions.Heads kept = new CacheOptions.Heads(KeptHeads.of(ranked, fraction), pattern);
                sessions.put(
                        new Subject(policy, fraction), cache.session(duo, opened, policy, Optional.of(kept), chunk));
            }
        }
        return sessions;
    }

    private static void checkMemory(Model opened, Map<Subject, SessionPlan> plans, int context) {
        long available = opened.device().availableBytes();
        plans.forEach((subject, plan) -> {
            long needed = Math.addExact(plan.kvBytes(), plan.activationBytes());
            if (needed > available) {
                throw new DuoException("--contexts " + context + " needs " + needed + " bytes with policy "
                        + subject.policy() + ", " + available + " are available; ask for a shorter context");
            }
        });
    }

    private void noteWindows(Map<Subject, SessionPlan> plans, int context) {
        boolean covered = plans.values().stream().anyMatch(plan -> PasskeyEvaluation.isCovered(plan, context));
        if (covered && !quiet) {
            console.err()
                    .println("note: at context " + context + " sink, recent and chunk are so large that streaming heads"
                            + " may hold passkeys; give a smaller --recent or --chunk, or a longer context");
        }
    }

    private static double fraction(Subject subject, PasskeyEvaluation.Result result) {
        return subject.fraction() != null ? subject.fraction() : result.fullShare();
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }

    private void write(Model opened, HaystackText haystack, NeedleGrid grid, List<Row> rows) {
        Console results = json.console(console);
        int width = Math.max(6, policies.stream().mapToInt(String::length).max().orElse(0));
        String line = "%8s  %-" + width + "s  %8s  %8s  %8s%n";
        results.out().printf(Locale.ROOT, line, "context", "policy", "kept", "accuracy", "samples");
        ObjectNode object = JsonOption.object()
                .put("model", opened.name())
                .put("backend", opened.device().backendId())
                .put("device", opened.device().description())
                .put("haystack", haystack.name())
                .put("seed", grid.seed())
                .put("needles", grid.needles())
                .put("words", grid.words());
        ArrayNode array = object.putArray("rows");
        for (Row row : rows) {
            results.out()
                    .printf(
                            Locale.ROOT,
                            line,
                            row.context(),
                            row.policy(),
                            percent(row.fraction()),
                            percent(row.result().accuracy()),
                            row.result().samples());
            add(array.addObject(), row, opened.shape().headDim());
        }
        json.write(object, console);
    }

    private static void add(ObjectNode object, Row row, int headDim) {
        SessionOptions options = row.result().options();
        object.put("policy", row.policy())
                .put("fraction", row.fraction())
                .put("context", row.context())
                .put("accuracy", row.result().accuracy())
                .put("samples", row.result().samples())
                .put("fullHeads", row.result().fullHeads())
                .put("heads", row.result().heads())
                .put("chunk", options.chunk())
                .put("prefillMode", options.prefillMode().name().toLowerCase(Locale.ROOT))
                .put("kv", KvType.name(options.kv(), headDim))
                .put("streamingKv", KvType.name(options.streamingKv(), headDim));
        if (row.result().streams()) {
            object.put("sink", options.sinks()).put("recent", options.recent());
        }
    }
}
