package org.duoattention.core.session;

/** Why a generation ended. */
public enum FinishReason {
    /** The model produced one of its end tokens. */
    END_TOKEN,
    /** A stop string was complete; it is not part of the text. */
    STOP_STRING,
    /** As many tokens as were asked for. */
    LENGTH,
    /** The session's longest context is reached. */
    CONTEXT_FULL,
    /** {@link Session#cancel} was called, or the thread was interrupted. */
    CANCELLED
}
