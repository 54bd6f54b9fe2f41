package org.duoattention.identify.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.task.KeptHeads;
import org.duoattention.identify.task.PasskeyEvaluation;
import org.duoattention.identify.task.PasskeyTask;
import org.duoattention.identify.text.HaystackText;

/**
 * Measures how many passkeys are found by share of heads kept, for patterns of several scorers on the same texts. Heads
 * that several patterns choose alike are measured once. For use by one thread.
 */
public final class ScorerComparison {
    /** 0, 5, ..., 100 %. */
    public static final List<Double> EVERY_TWENTIETH =
            IntStream.rangeClosed(0, 20).mapToObj(i -> i / 20.0).toList();

    private final List<Candidate> candidates;
    private final Settings settings;
    private final List<Task> tasks = new ArrayList<>();

    /**
     * What is measured.
     *
     * @param contexts tokens of texts
     * @param needles passkeys of a text in the passkey task; in the needle task there is one
     * @param words words of a passkey
     * @param samples questions per task, context and point
     * @param fractions shares of heads kept, ascending
     * @param sinks first tokens that streaming heads keep
     * @param recent last tokens that they keep
     * @param seed of the texts
     */
    public record Settings(
            List<Integer> contexts,
            int needles,
            int words,
            int samples,
            List<Double> fractions,
            int sinks,
            int recent,
            long seed) {}

    /** Texts of one kind, and the masks that are tried on them. */
    private record Task(
            String name,
            PasskeyEvaluation evaluation,
            PasskeyEvaluation.Settings settings,
            Map<HeadMask, SessionBuilder> subjects) {}

    /**
     * A comparison on an open model, which stays open.
     *
     * @param candidates the patterns; without any, the rest of what may be wrong is refused all the same
     * @throws DuoException when the model has no tokenizer, a pattern or a session does not fit it, or a context has no
     *     room for its passkeys
     */
    public ScorerComparison(Model model, HaystackText haystack, List<Candidate> candidates, Settings settings) {
        this.candidates = List.copyOf(candidates);
        this.settings = settings;
        Tokenizer tokenizer = model.tokenizer()
                .orElseThrow(() -> new DuoException(
                        "The model " + model.name() + " has no tokenizer, which passkeys need to be written"));
        PasskeyTask task = new PasskeyTask(haystack, tokenizer::encode);
        for (int context : settings.contexts()) {
            add(model, task, "needle", context, 1);
            if (settings.needles() > 1) {
                add(model, task, "passkey", context, settings.needles());
            }
        }
    }

    private void add(Model model, PasskeyTask task, String name, int context, int needles) {
        PasskeyEvaluation.Settings asked =
                new PasskeyEvaluation.Settings(context, needles, settings.words(), settings.samples(), settings.seed());
        Function<HeadMask, SessionBuilder> sessions = mask -> model.session()
                .policy("duo")
                .heads(mask)
                .sinks(settings.sinks())
                .recent(settings.recent())
                .chunk(PasskeyEvaluation.chunk(context));
        Map<HeadMask, SessionBuilder> subjects = new LinkedHashMap<>();
        HeadMask all = HeadMask.all(model.shape());
        HeadMask none = HeadMask.none(model.shape());
        subjects.put(all, sessions.apply(all));
        subjects.put(none, sessions.apply(none));
        for (Candidate candidate : candidates) {
            for (double fraction : settings.fractions()) {
                subjects.computeIfAbsent(KeptHeads.of(candidate.pattern(), fraction), sessions);
            }
        }
        PasskeyEvaluation evaluation =
                new PasskeyEvaluation(task, model.device().capabilities(), asked);
        evaluation.check(subjects);
        tasks.add(new Task(name, evaluation, asked, subjects));
    }

    /** What {@link #run} reports as progress when it is done. */
    public long tokens() {
        return tasks.stream()
                .mapToLong(task -> task.evaluation().tokens(task.subjects().size()))
                .sum();
    }

    /** Different choices of heads that are measured in each task. */
    public int choices() {
        return tasks.getFirst().subjects().size();
    }

    /**
     * Measures everything.
     *
     * @param progress told after every chunk how many more tokens of texts were read
     * @throws org.duoattention.core.session.CancelledException when the thread was interrupted
     */
    public List<TaskOutcome> run(LongConsumer progress) {
        List<TaskOutcome> outcomes = new ArrayList<>();
        for (Task task : tasks) {
            Map<HeadMask, PasskeyEvaluation.Result> results = task.evaluation().run(task.subjects(), progress);
            List<PasskeyEvaluation.Result> ends =
                    results.values().stream().limit(2).toList();
            Map<String, List<Candidate>> byScorer = new LinkedHashMap<>();
            candidates.forEach(candidate -> byScorer.computeIfAbsent(candidate.scorer(), scorer -> new ArrayList<>())
                    .add(candidate));
            List<AccuracyCurve> curves = byScorer.entrySet().stream()
                    .map(scorer -> new AccuracyCurve(
                            scorer.getKey(),
                            settings.fractions(),
                            settings.fractions().stream()
                                    .map(fraction -> scorer.getValue().stream()
                                            .map(candidate -> accuracy(results, candidate, fraction))
                                            .toList())
                                    .toList()))
                    .toList();
            outcomes.add(new TaskOutcome(
                    task.name(),
                    task.settings().context(),
                    task.settings().needles(),
                    ends.getFirst().samples(),
                    ends.getFirst().accuracy(),
                    ends.getLast().accuracy(),
                    curves));
        }
        return outcomes;
    }

    private static double accuracy(
            Map<HeadMask, PasskeyEvaluation.Result> results, Candidate candidate, double fraction) {
        PasskeyEvaluation.Result result = results.get(KeptHeads.of(candidate.pattern(), fraction));
        if (result == null) {
            throw new IllegalStateException("no result for " + candidate.name() + " at " + fraction);
        }
        return result.accuracy();
    }
}
