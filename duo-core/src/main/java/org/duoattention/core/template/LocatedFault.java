package org.duoattention.core.template;

/** A {@link TemplateFault} whose line is known. */
final class LocatedFault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int line;

    LocatedFault(String message, int line) {
        super(message, null, false, false);
        this.line = line;
    }

    int line() {
        return line;
    }
}
