package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.template.ChatTemplate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** A conversation whose session must be replaced when there is no memory for another one. */
class ConversationTest {
    private static final long CONTEXT = 256;
    /** Tokens whose cache is larger than any machine's memory. */
    private static final long TOO_LONG = 1L << 44;

    private final Model model = Model.open(Cli.NANO);
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final Console console = new Console(
            InputStream.nullInputStream(),
            new PrintStream(out, false, StandardCharsets.UTF_8),
            new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8),
            false);

    @AfterEach
    void close() {
        model.close();
    }

    private Conversation conversation(SessionBuilder sessions, Optional<ChatTemplate> template) {
        return new Conversation(model, sessions, template, null, GenerationRequest.greedy(4));
    }

    /** Its memory grows with the context, and its streaming heads forget. */
    private SessionBuilder oneRetrievalHead() {
        List<HeadSet> layers = new ArrayList<>(Collections.nCopies(model.shape().layers(), HeadSet.empty()));
        layers.set(0, HeadSet.of(0));
        return model.session()
                .policy("duo")
                .heads(HeadMask.of(model.shape().kvHeads(), layers))
                .sinks(2)
                .recent(8)
                .chunk(4)
                .rollbackMargin(0)
                .maxContext(CONTEXT);
    }

    private String answer(Conversation conversation, String said) {
        out.reset();
        conversation.turn(said, console);
        return out.toString(StandardCharsets.UTF_8);
    }

    private static void isRefused(Runnable action) {
        assertThatThrownBy(action::run)
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("A context of " + TOO_LONG)
                .hasMessageContaining("are available");
    }

    @Test
    void aResetWithoutMemoryIsTriedAgainByTheNextTurn() {
        SessionBuilder sessions = model.session().maxContext(CONTEXT);
        try (Conversation conversation = conversation(sessions, Optional.empty())) {
            String first = answer(conversation, "It was a dark night and");
            sessions.maxContext(TOO_LONG);
            isRefused(conversation::reset);
            isRefused(() -> answer(conversation, "It was a dark night and"));
            sessions.maxContext(CONTEXT);
            assertThat(answer(conversation, "It was a dark night and")).isEqualTo(first);
        }
    }

    @Test
    void aTurnThatFindsNoMemoryIsForgottenAndTheOthersAreNot() {
        // Turns differ near the beginning, so each must take nearly everything back, which the streaming heads refuse.
        ChatTemplate template = ChatTemplate.of(
                "It was {{ messages[-1].content }}{% for message in messages %} {{ message.content }}{% endfor %}",
                Map.of());
        SessionBuilder sessions = oneRetrievalHead();
        String begin = "It was a dark night and the old man said nothing more about it that day";
        try (Conversation conversation = conversation(sessions, Optional.of(template));
                Conversation undisturbed = conversation(oneRetrievalHead(), Optional.of(template))) {
            assertThat(answer(conversation, begin)).isEqualTo(answer(undisturbed, begin));
            sessions.maxContext(TOO_LONG);
            isRefused(() -> answer(conversation, "the house"));
            isRefused(() -> answer(conversation, "the road"));
            sessions.maxContext(CONTEXT);
            assertThat(answer(conversation, "and then")).isEqualTo(answer(undisturbed, "and then"));
        }
    }
}
