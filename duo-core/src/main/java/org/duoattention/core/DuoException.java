package org.duoattention.core;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * An error that the user can fix: its message is one clear sentence that names the file or option, the value, what was
 * expected and what to do. Programs print the message without a stack trace and exit with status 2.
 */
public class DuoException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Creates one with the sentence to show. */
    public DuoException(String message) {
        super(message);
    }

    /** Creates one with the sentence to show and what led to it, which only the log shows. */
    public DuoException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }

    /** The sentence to show; never null. */
    @Override
    public String getMessage() {
        return Objects.requireNonNull(super.getMessage());
    }
}
