package org.duoattention.examples.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.SavedSession;
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
    private static final int KEEP_EVERY = 65_536;

    private final PasskeyTask task;
    private final NeedleGrid grid;
    private final Map<String, SessionBuilder> policies;
    private final int lead;
    private final int reach;
    private final int answerTokens;
    private final Optional<Path> keep;
    private final Progress progress;
    private int repeats;

    /**
     * A run.
     *
     * @param policies how to open a session, by name of the policy
     * @param lead tokens at the start of a prompt that stay free of needles
     * @param reach tokens before the question that stay free of needles; halved contexts bound it
     * @param answerTokens tokens that an answer may take
     * @param keep directory in which unfinished prefills are kept
     */
    NeedleRun(
            PasskeyTask task,
            NeedleGrid grid,
            Map<String, SessionBuilder> policies,
            int lead,
            int reach,
            int answerTokens,
            Optional<Path> keep,
            Progress progress) {
        this.task = task;
        this.grid = grid;
        this.policies = policies;
        this.lead = lead;
        this.reach = reach;
        this.answerTokens = answerTokens;
        this.keep = keep;
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
        if (shortest <= LONGEST_WARM_UP && keep.isEmpty()) {
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

    /** Takes over what an earlier run had fed. */
    private static int restore(Session session, PasskeyPrompt prompt, Path file) {
        SavedSession saved = SavedSession.read(file);
        if (saved.commonPrefix(prompt.ids()) < saved.length()) {
            throw new DuoException("--keep: " + file + " holds another prompt; delete it, or keep this run elsewhere");
        }
        session.restore(saved);
        return saved.length();
    }

    private NeedleResult answer(
            Session session, PasskeyPrompt prompt, String policy, int context, double depth, int sample) {
        Optional<Path> kept = keep.map(directory ->
                directory.resolve(String.join("-", policy, "" + context, "" + depth, "" + sample) + ".cache"));
        int restored = kept.filter(Files::exists)
                .map(file -> restore(session, prompt, file))
                .orElse(0);
        progress.add(restored);
        int[] rest = Arrays.copyOfRange(prompt.ids(), restored, prompt.ids().length);
        int[] done = {0};
        Consumer<Integer> fed = now -> {
            progress.add(now - done[0]);
            done[0] = now;
        };
        double seconds = rest.length == 0 ? 0 : prefill(session, prompt, rest, kept, fed);
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
                rest.length == 0 ? 0 : rest.length / seconds,
                said.usage() == null ? 0 : said.usage().millisPerToken());
    }

    /** Feeds a prompt's rest, and returns the seconds that this took. */
    private double prefill(
            Session session, PasskeyPrompt prompt, int[] rest, Optional<Path> kept, Consumer<Integer> fed) {
        if (kept.isPresent()) {
            Path file = kept.get();
            return new KeptPrefill(
                            file,
                            KEEP_EVERY,
                            length -> progress.line(
                                    "kept " + length + " of " + prompt.ids().length + " tokens in " + file))
                    .run(session, rest, fed);
        }
        long start = System.nanoTime();
        session.prefill(rest, now -> fed.accept((int) now.done()));
        return (System.nanoTime() - start) / 1e9;
    }
}
