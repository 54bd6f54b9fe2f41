package org.duoattention.identify.task;

import java.util.Arrays;
import java.util.function.LongConsumer;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;

/**
 * How surprised a model is by a text: {@code exp} of the mean negative log-likelihood per token.
 *
 * <p>The usual definition over windows that do not overlap, as quantisation papers report it for WikiText: the token ids
 * of the whole text are cut into windows of {@code context} tokens, each window is fed to an empty session, and every
 * token but the window's first is scored given those before it in the window. The last window may be shorter; a single
 * token that is left over is not scored. A BOS that the tokenizer puts in front of the text is the first token of the first
 * window; the other windows begin in the middle of the text, without one.
 *
 * <p>Windows run through the session's own cache, chunk by chunk, so that its storage format, its policy and its chunk
 * size show in the result.
 *
 * @param value the perplexity
 * @param tokens tokens that were scored
 * @param windows windows that they lie in
 */
public record Perplexity(double value, long tokens, long windows) {
    /**
     * Measures a text.
     *
     * @param sessions how to open a session for one window
     * @param ids the whole text
     * @param context tokens per window; at least 2
     * @param progress told after every chunk how many more tokens were fed
     * @throws DuoException when the text has fewer than two tokens, the context is shorter than that, or a session
     *     refuses
     */
    public static Perplexity of(SessionBuilder sessions, int[] ids, int context, LongConsumer progress) {
        if (context < 2) {
            throw new DuoException("context is " + context + "; perplexity needs windows of at least 2 tokens");
        }
        if (ids.length < 2) {
            throw new DuoException("The text has " + ids.length + " token" + (ids.length == 1 ? "" : "s")
                    + "; perplexity needs at least 2");
        }
        double sum = 0;
        long tokens = 0;
        long windows = 0;
        for (long from = 0; from < ids.length - 1; from += context) {
            int[] window = Arrays.copyOfRange(ids, (int) from, (int) Math.min(ids.length, from + context));
            try (Session session = sessions.open()) {
                long[] done = {0};
                double[] logProbabilities = session.score(window, chunk -> {
                    progress.accept(chunk.done() - done[0]);
                    done[0] = chunk.done();
                });
                sum += Arrays.stream(logProbabilities).sum();
                tokens += logProbabilities.length;
                windows++;
            }
        }
        return new Perplexity(Math.exp(-sum / tokens), tokens, windows);
    }
}
