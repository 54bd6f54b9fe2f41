package org.duoattention.examples.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionEvent;
import org.duoattention.core.template.ChatTemplate;
import org.duoattention.core.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/**
 * Turns of a conversation over one session.
 *
 * <p>With a template the whole conversation is rendered anew each turn and compared with what the session holds: the common
 * beginning stays in the cache, what differs is taken back exactly. Where streaming heads can no longer do that, the
 * conversation is fed again from the start.
 */
final class Conversation implements AutoCloseable {
    private final SessionBuilder sessions;
    private final Tokenizer tokenizer;
    private final Optional<ChatTemplate> template;
    private final @Nullable String system;
    private final GenerationRequest request;
    private final List<Map<String, String>> messages = new ArrayList<>();
    private volatile Session session;
    /** Whether the session was closed to make room for one that could not be opened. */
    private boolean lost;

    Conversation(
            Model model,
            SessionBuilder sessions,
            Optional<ChatTemplate> template,
            @Nullable String system,
            GenerationRequest request) {
        this.sessions = sessions;
        this.tokenizer = model.tokenizer()
                .orElseThrow(() -> new DuoException("--model " + model.path()
                        + " has no tokenizer, which a conversation needs; add its tokenizer.json"));
        this.template = template;
        this.system = system;
        this.request = request;
        this.session = sessions.open();
        begin();
    }

    private void begin() {
        messages.clear();
        if (system != null) {
            messages.add(Map.of("role", "system", "content", system));
        }
    }

    /** Stops the answer that is being written. */
    void cancel() {
        session.cancel();
    }

    /**
     * Forgets everything.
     *
     * @throws DuoException when there is no memory for a new session; the next turn tries again
     */
    void reset() {
        begin();
        reopen();
    }

    private void reopen() {
        lost = true;
        session.close();
        session = sessions.open();
        lost = false;
    }

    /**
     * Feeds what the user said and writes the answer as it comes.
     *
     * @throws DuoException when the conversation no longer fits in the context, or a new session not in memory; the turn
     *     is then forgotten
     */
    void turn(String said, Console console) {
        messages.add(Map.of("role", "user", "content", said));
        try {
            if (lost) {
                reopen();
            }
            if (template.isPresent()) {
                feed(tokenizer.encode(template.get().render(messages, null, true, Map.of()), false));
            } else {
                session.prefill(tokenizer.encode(said, session.length() == 0));
            }
        } catch (DuoException e) {
            messages.removeLast();
            throw e;
        } catch (CancelledException e) {
            messages.removeLast();
            if (Thread.currentThread().isInterrupted()) {
                throw e;
            }
            return;
        }
        StringBuilder answer = new StringBuilder();
        for (SessionEvent event : session.generate(request)) {
            if (event instanceof SessionEvent.Text piece) {
                answer.append(piece.text());
                console.out().print(piece.text());
                console.flush();
            }
        }
        console.out().println();
        console.flush();
        messages.add(Map.of("role", "assistant", "content", answer.toString()));
        if (Thread.currentThread().isInterrupted()) {
            throw new Interruption("interrupted while generating");
        }
    }

    /** Makes the session hold exactly these tokens. */
    private void feed(int[] ids) {
        int[] held = session.tokens();
        int mismatch = Arrays.mismatch(held, ids);
        int common = mismatch < 0 ? ids.length : mismatch;
        // The last token is fed again where nothing is new, for its logits.
        int kept = Math.min(common, ids.length - 1);
        if (kept < held.length) {
            try {
                session.rollback(held.length - kept);
            } catch (DuoException e) {
                reopen();
                kept = 0;
            }
        }
        session.prefill(Arrays.copyOfRange(ids, kept, ids.length));
    }

    @Override
    public void close() {
        session.close();
    }
}
