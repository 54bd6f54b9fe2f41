package org.duoattention.examples.cli;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import org.duoattention.core.DuoException;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.core.session.Model;
import org.duoattention.core.source.ModelFingerprint;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.data.MultiPasskeySettings;
import org.duoattention.identify.report.AccuracyCurve;
import org.duoattention.identify.report.Candidate;
import org.duoattention.identify.report.GateImage;
import org.duoattention.identify.report.LossCurve;
import org.duoattention.identify.report.OutcomeReport;
import org.duoattention.identify.report.ScorerComparison;
import org.duoattention.identify.report.TaskOutcome;
import org.duoattention.identify.score.AttentionProfiling;
import org.duoattention.identify.score.HeadScorer;
import org.duoattention.identify.score.OptimizationScorer;
import org.duoattention.identify.score.OutputChange;
import org.duoattention.identify.score.RandomScorer;
import org.duoattention.identify.score.ScoringContext;
import org.duoattention.identify.text.HaystackText;
import org.duoattention.identify.train.RunDescription;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Runs scorers, compares them with patterns that were found before, and writes what comes out. */
final class ScorerReport {
    private static final List<String> SCORERS = List.of("optimization", "profiling", "on-the-fly", "random");
    private static final int LINES = 10;
    /** Models that read less get small windows. */
    private static final long LARGE_CONTEXT = 8192;

    private final Console console;
    private final boolean quiet;
    private final Model model;
    private final HaystackText haystack;
    private final ScorerComparison.Settings settings;
    private final Path out;

    /** Sizes of streaming heads. */
    record Window(int sinks, int recent) {}

    /** The sizes that identification takes by default: the authors' for large models. */
    static Window window(Model model) {
        return model.config().contextLimit() >= LARGE_CONTEXT ? new Window(128, 256) : new Window(16, 64);
    }

    /** What suits a model unless told otherwise: 4 passkeys of 6 words in 512 tokens, or in 4,096 for large models. */
    static ScorerComparison.Settings settings(Model model, int samples, int sinks, int recent, long seed) {
        int context = model.config().contextLimit() >= LARGE_CONTEXT ? 4096 : 512;
        return new ScorerComparison.Settings(
                List.of(context), 4, 6, samples, ScorerComparison.EVERY_TWENTIETH, sinks, recent, seed);
    }

    /**
     * A report on an open model, which stays open. Refuses at once what could not be measured later.
     *
     * @param out directory that {@code report.html} and the patterns of scorers are written to
     */
    ScorerReport(
            Console console,
            boolean quiet,
            Model model,
            HaystackText haystack,
            ScorerComparison.Settings settings,
            Path out) {
        this.console = console;
        this.quiet = quiet;
        this.model = model;
        this.haystack = haystack;
        this.settings = settings;
        this.out = out;
        new ScorerComparison(model, haystack, List.of(), settings);
    }

    /** Refuses names of scorers that do not exist or come twice. */
    static void checkScorers(List<String> names) {
        for (String name : names) {
            if (!SCORERS.contains(name)) {
                throw new DuoException("--scorers: there is no scorer '" + name + "'; there are "
                        + String.join(", ", SCORERS) + ", or none alone");
            }
        }
        if (new HashSet<>(names).size() < names.size()) {
            throw new DuoException("--scorers " + String.join(",", names) + " names a scorer twice");
        }
    }

    /**
     * Scores heads and writes a pattern directory per scorer and seed.
     *
     * @param names of {@link #SCORERS}
     * @param seed first seed of the data
     * @param seeds how many there are
     */
    List<Candidate> score(List<String> names, long seed, int seeds) {
        Tokenizer tokenizer = model.tokenizer()
                .orElseThrow(() -> new DuoException("--model " + model.path()
                        + " has no tokenizer, which passkeys need to be written; add its tokenizer.json"));
        long limit = model.config().contextLimit();
        List<Candidate> candidates = new ArrayList<>();
        for (String name : names) {
            for (long at = seed; at < seed + seeds; at++) {
                MultiPasskeyData data = new MultiPasskeyData(
                        MultiPasskeySettings.forContext(limit, at),
                        haystack,
                        tokenizer::encode,
                        limit,
                        model.shape().vocabSize());
                ScoringContext context = ScoringContext.of(model, data, settings.sinks(), settings.recent());
                HeadPattern pattern = described(score(scorer(name, data), context), at);
                String directory = name + "-" + at;
                PatternDirectory.write(out.resolve(directory), pattern);
                candidates.add(new Candidate(name, "seed " + at, pattern));
            }
        }
        return candidates;
    }

    /** Says in a pattern what it was made for and from. */
    private HeadPattern described(HeadPattern pattern, long seed) {
        double[][] scores = new double[pattern.layers()][pattern.kvHeads()];
        for (int layer = 0; layer < scores.length; layer++) {
            for (int head = 0; head < scores[layer].length; head++) {
                scores[layer][head] = pattern.score(layer, head);
            }
        }
        Map<String, @Nullable Object> all = new LinkedHashMap<>(pattern.settings());
        all.put("model_name", model.name());
        all.put(RunDescription.MODEL_FINGERPRINT, ModelFingerprint.of(model.config(), model.weights()));
        all.put("seed", seed);
        all.put("versions", new Version().getVersion()[0]);
        return new HeadPattern(scores, pattern.sinkSize(), pattern.recentSize(), all);
    }

    private static HeadScorer scorer(String name, MultiPasskeyData data) {
        return switch (name) {
            case "optimization" -> new OptimizationScorer(new IdentifyOptions().training(data.maxTokens()));
            case "profiling" -> new AttentionProfiling(AttentionProfiling.DEFAULT_SEQUENCES);
            case "on-the-fly" -> new OutputChange(OutputChange.DEFAULT_SEQUENCES);
            default -> new RandomScorer(data.settings().seed());
        };
    }

    private HeadPattern score(HeadScorer scorer, ScoringContext context) {
        long[] last = {0};
        // Scorers say how much there is to do when they begin.
        try (Progress progress = new Progress(console, quiet, scorer.name(), -1, "")) {
            HeadPattern pattern = scorer.score(context, (done, total) -> {
                progress.add(done - last[0]);
                last[0] = done;
            });
            progress.line("scored heads by " + scorer.name());
            return pattern;
        }
    }

    /**
     * Measures the candidates and writes {@code report.html} and a heat map of each.
     *
     * @param losses how optimisations went
     * @param results where the table goes
     * @return the figures
     */
    ObjectNode write(List<Candidate> candidates, List<LossCurve> losses, PrintStream results) {
        for (Candidate candidate : candidates) {
            HeadPattern pattern = candidate.pattern();
            if (pattern.layers() != model.shape().layers()
                    || pattern.kvHeads() != model.shape().kvHeads()) {
                throw new DuoException("pattern " + candidate.scorer() + " " + candidate.name() + " has "
                        + pattern.layers() + " layers x " + pattern.kvHeads() + " KV heads, the model "
                        + model.shape().layers() + " x " + model.shape().kvHeads()
                        + "; choose patterns made for this model");
            }
        }
        ScorerComparison comparison = new ScorerComparison(model, haystack, candidates, settings);
        List<TaskOutcome> tasks;
        try (Progress progress = new Progress(console, quiet, "scorers", comparison.tokens())) {
            progress.line("measuring " + comparison.choices() + " choices of heads");
            long[] done = {0};
            tasks = comparison.run(tokens -> {
                progress.add(tokens);
                long before = done[0] * LINES / comparison.tokens();
                done[0] += tokens;
                if (done[0] * LINES / comparison.tokens() > before) {
                    progress.line("measured " + done[0] * LINES / comparison.tokens() * 100 / LINES + " %");
                }
            });
        }
        write(
                out,
                new OutcomeReport(
                        "Retrieval heads of " + model.name(), described(candidates), tasks, candidates, losses));
        tasks.forEach(task -> print(results, task));
        if (!quiet) {
            console.err().println("report: " + out.resolve("report.html"));
        }
        return json(tasks);
    }

    /** Writes {@code report.html} and a heat map of each candidate. */
    static void write(Path directory, OutcomeReport report) {
        Outputs.write(directory.resolve("report.html"), report.html().getBytes(StandardCharsets.UTF_8), "--out");
        for (Candidate candidate : report.candidates()) {
            String name = (candidate.scorer() + "-" + candidate.name()).replaceAll("[^A-Za-z0-9-]+", "-");
            Outputs.write(
                    directory.resolve("heads-" + name.replaceAll("-+$", "") + ".png"),
                    GateImage.png(candidate.pattern()),
                    "--out");
        }
    }

    private Map<String, String> described(List<Candidate> candidates) {
        Map<String, String> described = new LinkedHashMap<>();
        described.put("model", model.name());
        described.put(
                "backend", model.device().backendId() + ", " + model.device().description());
        described.put("haystack", haystack.name());
        described.put("words of a passkey", String.valueOf(settings.words()));
        described.put("sink and recent tokens", settings.sinks() + " and " + settings.recent());
        described.put("chunk", "a quarter of the context, 512 tokens at most");
        described.put("seed of the texts", String.valueOf(settings.seed()));
        described.put("patterns", String.valueOf(candidates.size()));
        return described;
    }

    private static void print(PrintStream out, TaskOutcome task) {
        out.printf(
                Locale.ROOT,
                "%s, %d of %d tokens, %d questions per point: full attention %.1f %%%n",
                task.task(),
                task.needles(),
                task.context(),
                task.samples(),
                100 * task.full());
        StringBuilder head = new StringBuilder(String.format(Locale.ROOT, "%8s", "kept"));
        task.curves().forEach(curve -> head.append(String.format(Locale.ROOT, "  %16s", curve.scorer())));
        out.println(head);
        List<Double> fractions = task.curves().getFirst().fractions();
        for (int i = 0; i < fractions.size(); i++) {
            StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "%6.1f %%", 100 * fractions.get(i)));
            for (AccuracyCurve curve : task.curves()) {
                String mean = String.format(Locale.ROOT, "%.1f", 100 * curve.mean(i));
                String spread =
                        curve.patterns() == 1 ? "" : String.format(Locale.ROOT, " +- %.1f", 100 * curve.deviation(i));
                line.append(String.format(Locale.ROOT, "  %14s %%", mean + spread));
            }
            out.println(line);
        }
        StringBuilder line = new StringBuilder("99 % of full attention from: ");
        for (AccuracyCurve curve : task.curves()) {
            OptionalDouble share = curve.smallest(TaskOutcome.ENOUGH * task.full());
            line.append(curve.scorer())
                    .append(' ')
                    .append(
                            share.isPresent()
                                    ? String.format(Locale.ROOT, "%.1f %%", 100 * share.getAsDouble())
                                    : "never")
                    .append("; ");
        }
        out.println(line.substring(0, line.length() - 2));
    }

    private ObjectNode json(List<TaskOutcome> tasks) {
        ObjectNode object = JsonOption.object()
                .put("model", model.name())
                .put("backend", model.device().backendId())
                .put("device", model.device().description())
                .put("haystack", haystack.name())
                .put("seed", settings.seed())
                .put("words", settings.words())
                .put("sink", settings.sinks())
                .put("recent", settings.recent());
        ArrayNode rows = object.putArray("rows");
        ArrayNode smallest = object.putArray("smallest");
        for (TaskOutcome task : tasks) {
            for (AccuracyCurve curve : task.curves()) {
                for (int i = 0; i < curve.fractions().size(); i++) {
                    add(rows.addObject(), task, curve)
                            .put("fraction", curve.fractions().get(i))
                            .put("accuracy", curve.mean(i))
                            .put("deviation", curve.deviation(i));
                }
                ObjectNode least = add(smallest.addObject(), task, curve).put("fullAccuracy", task.full());
                curve.smallest(TaskOutcome.ENOUGH * task.full())
                        .ifPresentOrElse(share -> least.put("fraction", share), () -> least.putNull("fraction"));
            }
        }
        return object;
    }

    private static ObjectNode add(ObjectNode object, TaskOutcome task, AccuracyCurve curve) {
        return object.put("task", task.task())
                .put("context", task.context())
                .put("needles", task.needles())
                .put("samples", task.samples())
                .put("scorer", curve.scorer())
                .put("patterns", curve.patterns());
    }
}
