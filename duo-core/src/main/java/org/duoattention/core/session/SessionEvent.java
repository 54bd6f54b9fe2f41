package org.duoattention.core.session;

/** What a generation reports, in order: tokens and pieces of text as they come, and the end. */
public sealed interface SessionEvent {
    /**
     * A token was chosen.
     *
     * @param id its id
     */
    record Token(int id) implements SessionEvent {}

    /**
     * Text became certain: whole characters only, and nothing that may yet turn out to be a stop string. All pieces
     * together are the answer.
     *
     * @param text not empty
     */
    record Text(String text) implements SessionEvent {}

    /**
     * The generation ended; the last event.
     *
     * @param reason why
     * @param usage what it took
     */
    record Finished(FinishReason reason, Usage usage) implements SessionEvent {}
}
