package org.duoattention.core.template;

/** What is wrong in a template, before the line number is known; {@link ChatTemplate} turns it into a sentence. */
final class TemplateFault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TemplateFault(String message) {
        super(message, null, false, false);
    }

    static TemplateFault unsupported(String what) {
        return new TemplateFault(what + " is not supported by this program");
    }
}
