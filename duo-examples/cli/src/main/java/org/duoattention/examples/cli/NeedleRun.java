package org.duoattention.examples.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.identify.task.ExactMatch;
import org.duoattention.identify.task.PasskeyAnswer;
import org.duoattention.identify.task.PasskeyPrompt;
import org.duoattention.identify.task.PasskeySpec;
import org.duoattention.identify.task.PasskeyTask;

/** Asks every prompt of a grid under every policy. */
final class NeedleRun {
    private static final int LONGEST_WARM_UP = 2048;

    private final PasskeyTask task;
    private final NeedleGrid grid;
    private final Map<String, SessionBuilder> policies;
    private final int lead;
    private final int reach;
    private final int answerTokens;
    private final Progress progress;
    private int repeats;

    /**
     * A run.
     *
     * @param policies how to open a session, by name of the policy
     * @param lead tokens at the start of a prompt that stay free of needles
     * @param reach tokens before the question that stay free of needles; halved contexts bound it
     * @param answerTokens tokens that an answer may take
     */
    NeedleRun(
            PasskeyTask task,
            NeedleGrid grid,
            Map<String, SessionBuilder> policies,
            int lead,
            int reach,
            int answerTokens,
            Progress progress) {
        this.task = task;
        this.grid = grid;
        this.policies = policies;
        this.lead = lead;
        this.reach = reach;
        this.answerTokens = answerTokens;
        this.progress = progress;
    }

    /** How often the haystack was begun again in the longest prompt. */
    int repeats() {
        return repeats;
    }

    /**
     * The answers, in order of context, sample, depth and policy.
     *
     * @throws CancelledException when the thread was interrupted
     */
    List<NeedleResult> run() {
        List<NeedleResult> results = new ArrayList<>();
        warmUp();
        for (int context : grid.contexts()) {
            List<NeedleResult> ofContext = new ArrayList<>();
            for (int sample = 0; sample < grid.samples(); sample++) {
                for (double depth : grid.depths()) {
                    PasskeyPrompt prompt = prompt(context, depth, sample);
                    repeats = Math.max(repeats, prompt.repeats());
                    ofContext.addAll(answer(prompt, context, depth, sample));
                }
            }
            policies.keySet().forEach(policy -> progress.line(line(policy, context, ofContext)));
            results.addAll(ofContext);
        }
        return results;
    }

    /** Answers one short prompt under every policy, so that the first figures are not those of cold code. */
    private void warmUp() {
        int shortest =
                grid.contexts().stream().mapToInt(Integer::intValue).min().orElseThrow();
        if (shortest <= LONGEST_WARM_UP) {
            answer(prompt(shortest, 0, 0), shortest, 0, 0);
        }
    }

    private static String line(String policy, int context, List<NeedleResult> results) {
        Map<Boolean, Long> counts = results.stream()
                .filter(result -> result.policy().equals(policy))
                .collect(Collectors.partitioningBy(NeedleResult::exact, Collectors.counting()));
        long exact = counts.getOrDefault(true, 0L);
        return "context " + context + ", policy " + policy + ": " + exact + " of "
                + (exact + counts.getOrDefault(false, 0L)) + " exact";
    }

    private PasskeyPrompt prompt(int context, double depth, int sample) {
        try {
            return task.prompt(new PasskeySpec(
                    Math.max(1, context - answerTokens),
                    depth,
                    grid.needles(),
                    grid.words(),
                    Math.min(lead, context / 4),
                    Math.min(reach, context / 2),
                    grid.seed() + sample));
        } catch (DuoException e) {
            throw new DuoException(
                    "--contexts " + context + " with " + answerTokens + " tokens for the answer: " + e.getMessage(), e);
        }
    }

    private List<NeedleResult> answer(PasskeyPrompt prompt, int context, double depth, int sample) {
        List<NeedleResult> results = new ArrayList<>();
        policies.forEach((policy, builder) -> {
            try (Session session = builder.maxContext(context).rollbackMargin(0).open()) {
                results.add(answer(session, prompt, policy, context, depth, sample));
            }
        });
        return results;
    }

    private NeedleResult answer(
            Session session, PasskeyPrompt prompt, String policy, int context, double depth, int sample) {
        long[] done = {0};
        long start = System.nanoTime();
        session.prefill(prompt.ids(), fed -> {
            progress.add(fed.done() - done[0]);
            done[0] = fed.done();
        });
        double seconds = (System.nanoTime() - start) / 1e9;
        PasskeyAnswer said = PasskeyAnswer.of(session, answerTokens, text -> true);
        return new NeedleResult(
                policy,
                context,
                depth,
                sample,
                ExactMatch.matches(prompt.answer(), said.text()),
                prompt.answer(),
                ExactMatch.answerLine(said.text()),
                prompt.ids().length,
                prompt.needleToken(),
                session.kvBytes(),
                prompt.ids().length / seconds,
                said.usage() == null ? 0 : said.usage().millisPerToken());
    }
}
