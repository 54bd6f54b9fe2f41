package org.duoattention.backend.cuda.kernel;

/** Thrown when a kernel cannot be had in a form that the device runs; the message is for the user. */
public final class KernelException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    /** With one sentence, and the compiler's log where there is one. */
    public KernelException(String message) {
        super(message);
    }

    /** With what went wrong below. */
    public KernelException(String message, Throwable cause) {
        super(message, cause);
    }
}
