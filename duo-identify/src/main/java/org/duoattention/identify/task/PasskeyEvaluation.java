package org.duoattention.identify.task;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.LongConsumer;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.Retention;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionOptions;
import org.duoattention.core.session.SessionPlan;
import org.duoattention.identify.text.Seeds;

/**
 * How many passkeys a model finds again in texts of one length, under several ways to cache them.
 *
 * <p>A text is read once per cache and asked for each of its passkeys in turn; question and answer are taken back
 * exactly before the next one, where cache and device can do that, so that every question finds the same cache. The
 * questions of one text share its haystack, though not the passkeys they ask for. An answer is heard only as long as it
 * may still be right. Caches that keep the same of the same heads are measured once.
 *
 * <p>Passkeys lie where streaming heads no longer hold them when the question comes: behind the sinks and before the
 * recent window, in mode {@link PrefillMode#UPSTREAM} before one more chunk, but no more than half of the text is kept free
 * for that.
 *
 * <p>For use by one thread.
 */
public final class PasskeyEvaluation {
    /** Keeps the draws of this class apart from others' with the same seed. */
    private static final long PURPOSE = 0x4556414C;

    /** Chunks of a text, so that its last one is small beside it. */
    private static final int CHUNKS = 4;

    private final PasskeyTask task;
    private final Set<Capability> capabilities;
    private final Settings settings;
    private int repeats;

    /**
     * What is asked.
     *
     * @param context tokens of a text with question and answer
     * @param needles passkeys of a text; all are asked for
     * @param words words of a passkey
     * @param samples questions
     * @param seed of passkeys and places
     */
    public record Settings(int context, int needles, int words, int samples, long seed) {
        /**
         * Checks the counts.
         *
         * @throws DuoException naming the value that is out of its range
         */
        public Settings {
            if (samples < 1) {
                throw new DuoException("an accuracy is measured with at least 1 sample, not " + samples);
            }
        }

        /** Texts that are read. */
        public int texts() {
            return Math.ceilDiv(samples, needles);
        }
    }

    /**
     * What was found.
     *
     * @param exact questions that were answered exactly
     * @param samples questions
     * @param plan the session
     */
    public record Result(int exact, int samples, SessionPlan plan) {
        /** Share of exact answers. */
        public double accuracy() {
            return (double) exact / samples;
        }

        /** The session's settings. */
        public SessionOptions options() {
            return plan.options();
        }

        /** KV heads of all layers that keep every token. */
        public int fullHeads() {
            return plan.cache().plan().slabs().stream()
                    .filter(slab -> slab.retention() instanceof Retention.All)
                    .mapToInt(slab -> slab.heads().size())
                    .sum();
        }

        /** KV heads of all layers. */
        public int heads() {
            return options().heads().headCount();
        }

        /** Share of the heads that keep every token. */
        public double fullShare() {
            return (double) fullHeads() / heads();
        }

        /** Whether some heads keep sinks and recent tokens. */
        public boolean streams() {
            return PasskeyEvaluation.streams(plan);
        }
    }

    /**
     * An evaluation.
     *
     * @param capabilities what the model's device can do
     */
    public PasskeyEvaluation(PasskeyTask task, Set<Capability> capabilities, Settings settings) {
        this.task = task;
        this.capabilities = Set.copyOf(capabilities);
        this.settings = settings;
    }

    /** Tokens per chunk that suit a context: a quarter of it, no more than a session's default. */
    public static int chunk(int context) {
        return Math.clamp(context / CHUNKS, 1, SessionBuilder.DEFAULT_CHUNK);
    }

    /** How often the haystack was begun again in one text of the last run. */
    public int repeats() {
        return repeats;
    }

    /**
     * What {@link #run} reports as progress when it is done.
     *
     * @param caches number of different caches
     */
    public long tokens(long caches) {
        return (long) settings.context() * settings.texts() * caches;
    }

    /**
     * Plans every session without allocating.
     *
     * @param subjects how to open a session, by any key
     * @return the plans, which are equal where the same would be measured
     * @throws DuoException when a session is refused
     */
    public <K> Map<K, SessionPlan> plan(Map<K, SessionBuilder> subjects) {
        Map<K, SessionPlan> plans = new LinkedHashMap<>();
        int margin = longestQuestion() + answerTokens();
        subjects.forEach((key, builder) -> plans.put(
                key,
                builder.maxContext(settings.context()).rollbackMargin(margin).plan()));
        return plans;
    }

    /** How many different caches there are among some plans. */
    public static long distinct(Map<?, SessionPlan> plans) {
        return plans.values().stream().map(Kept::of).distinct().count();
    }

    /** Everything about a session that its answers depend on. */
    private record Kept(CachePlan plan, int chunk, PrefillMode mode, Object kv, Object streamingKv) {
        static Kept of(SessionPlan plan) {
            SessionOptions options = plan.options();
            return new Kept(
                    plan.cache().plan(), options.chunk(), options.prefillMode(), options.kv(), options.streamingKv());
        }
    }

    private int longestQuestion() {
        return task.questionTokens(settings.needles());
    }

    private int answerTokens() {
        return task.answerTokens(settings.words());
    }

    /**
     * Asks every question under every cache.
     *
     * @param subjects how to open a session, by any key; chunk, window and the like are the caller's
     * @param progress told after every chunk how many more tokens of texts were read
     * @return results by key, in the order of the subjects
     * @throws DuoException when a session is refused or the context has no room for the passkeys
     * @throws CancelledException when the thread was interrupted
     */
    public <K> Map<K, Result> run(Map<K, SessionBuilder> subjects, LongConsumer progress) {
        Map<K, SessionPlan> plans = plan(subjects);
        Map<Kept, Measured> measured = new LinkedHashMap<>();
        Map<K, Measured> byKey = new LinkedHashMap<>();
        subjects.forEach((key, builder) ->
                byKey.put(key, measured.computeIfAbsent(Kept.of(builder.plan()), kept -> new Measured(builder))));
        Placing placing = placing(plans);
        int asked = 0;
        for (int i = 0; asked < settings.samples(); i++) {
            int questions = Math.min(settings.needles(), settings.samples() - asked);
            PasskeyDocument document = document(i, placing);
            repeats = document.repeats();
            for (Measured cache : measured.values()) {
                cache.exact +=
                        answered(cache.builder, document, document.questions().subList(0, questions), progress);
            }
            asked += questions;
        }
        int samples = asked;
        Map<K, Result> results = new LinkedHashMap<>();
        byKey.forEach((key, cache) -> results.put(key, new Result(cache.exact, samples, cache.builder.plan())));
        return results;
    }

    /** One of the caches and what was found with it. */
    private static final class Measured {
        private final SessionBuilder builder;
        private int exact;

        Measured(SessionBuilder builder) {
            this.builder = builder;
        }
    }

    /** Whether passkeys cannot all be placed where the streaming heads of a session no longer hold them. */
    public static boolean isCovered(SessionPlan plan, int context) {
        return streams(plan) && (plan.options().sinks() > context / 4 || reach(plan.options()) > context / 2);
    }

    private static boolean streams(SessionPlan plan) {
        return plan.cache().plan().slabs().stream()
                .anyMatch(slab -> slab.retention() instanceof Retention.SinkAndRecent);
    }

    private static int reach(SessionOptions options) {
        return Math.addExact(options.recent(), options.prefillMode() == PrefillMode.UPSTREAM ? options.chunk() : 0);
    }

    /**
     * Refuses what {@link #run} would refuse at its first text.
     *
     * @throws DuoException as {@code run}
     */
    public void check(Map<?, SessionBuilder> subjects) {
        document(0, placing(plan(subjects)));
    }

    /**
     * Where passkeys may lie.
     *
     * @param lead tokens at the start that stay free of them
     * @param reach tokens before the question that stay free of them
     */
    private record Placing(int lead, int reach) {}

    private static Placing placing(Map<?, SessionPlan> plans) {
        List<SessionOptions> streaming = plans.values().stream()
                .filter(PasskeyEvaluation::streams)
                .map(SessionPlan::options)
                .toList();
        return new Placing(
                streaming.stream().mapToInt(SessionOptions::sinks).max().orElse(0),
                streaming.stream().mapToInt(PasskeyEvaluation::reach).max().orElse(0));
    }

    private PasskeyDocument document(int index, Placing placing) {
        int context = settings.context();
        Random random = Seeds.random(settings.seed(), PURPOSE, context, index);
        try {
            return task.document(new PasskeySpec(
                    Math.max(1, context - answerTokens()),
                    random.nextDouble(),
                    settings.needles(),
                    settings.words(),
                    Math.min(placing.lead(), context / 4),
                    Math.min(placing.reach(), context / 2),
                    random.nextLong()));
        } catch (DuoException e) {
            throw new DuoException(
                    "context " + context + " with " + answerTokens() + " tokens for the answer: " + e.getMessage(), e);
        }
    }

    /** How many of the questions about a text are answered exactly. */
    private int answered(
            SessionBuilder builder,
            PasskeyDocument document,
            List<PasskeyDocument.Question> questions,
            LongConsumer progress) {
        int exact = 0;
        int from = 0;
        while (from < questions.size()) {
            try (Session session = builder.open()) {
                read(session, document, from == 0 ? progress : tokens -> {});
                int to = canTakeBack(builder) ? questions.size() : from + 1;
                for (; from < to; from++) {
                    PasskeyDocument.Question question = questions.get(from);
                    session.prefill(question.ids());
                    String said = PasskeyAnswer.of(
                                    session, answerTokens(), text -> ExactMatch.mayMatch(question.answer(), text))
                            .text();
                    exact += ExactMatch.matches(question.answer(), said) ? 1 : 0;
                    if (from + 1 < to) {
                        session.rollback(session.length() - document.ids().length);
                    }
                }
            }
        }
        return exact;
    }

    private static void read(Session session, PasskeyDocument document, LongConsumer progress) {
        long[] done = {0};
        session.prefill(document.ids(), fed -> {
            progress.accept(fed.done() - done[0]);
            done[0] = fed.done();
        });
    }

    private boolean canTakeBack(SessionBuilder builder) {
        return capabilities.contains(Capability.ROLLBACK)
                && builder.plan().cache().plan().slabs().stream()
                        .map(slab -> slab.retention())
                        .allMatch(retention ->
                                retention instanceof Retention.All || retention instanceof Retention.SinkAndRecent);
    }
}
