package org.duoattention.identify.task;

import java.util.function.Predicate;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.FinishReason;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionEvent;
import org.duoattention.core.session.Usage;
import org.jspecify.annotations.Nullable;

/**
 * What a model said, greedily, to a question about a passkey: to the end of the line, or to the end of its patience.
 *
 * @param text everything it said
 * @param usage what it took; null when the answer was not heard to its end
 */
public record PasskeyAnswer(String text, @Nullable Usage usage) {
    /**
     * Lets a session answer the question that it was fed last.
     *
     * @param tokens most tokens of the answer
     * @param goOn whether to go on after what was said so far
     * @throws CancelledException when the session was cancelled or the thread was interrupted
     */
    public static PasskeyAnswer of(Session session, int tokens, Predicate<String> goOn) {
        StringBuilder text = new StringBuilder();
        GenerationRequest request =
                GenerationRequest.builder().maxNewTokens(tokens).stop("\n").build();
        for (SessionEvent event : session.generate(request)) {
            if (event instanceof SessionEvent.Text piece) {
                text.append(piece.text());
                if (!goOn.test(text.toString())) {
                    break;
                }
            } else if (event instanceof SessionEvent.Finished finished) {
                if (finished.reason() == FinishReason.CANCELLED) {
                    throw new CancelledException(text.length(), tokens);
                }
                return new PasskeyAnswer(text.toString(), finished.usage());
            }
        }
        return new PasskeyAnswer(text.toString(), null);
    }
}
