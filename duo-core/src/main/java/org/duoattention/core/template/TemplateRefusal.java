package org.duoattention.core.template;

/** A template's own complaint about a conversation, by {@code raise_exception}. */
final class TemplateRefusal extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TemplateRefusal(String message) {
        super(message);
    }
}
