package org.duoattention.examples.cli;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;

/**
 * Entry point of the {@code duo} script: puts the real standard error back in place, then runs {@link DuoCommand}.
 *
 * <p>The JVM reports the use of an incubator module on standard error before any code runs, and no option turns that
 * off. So the script starts the JVM with a filter as standard error and passes the real one as another descriptor,
 * named by the system property {@code duo.stderr}.
 */
public final class Launcher {
    private static final int STANDARD_ERROR = 2;

    private Launcher() {}

    public static void main(String[] args) {
        Integer descriptor = Integer.getInteger("duo.stderr");
        if (descriptor != null) {
            restoreStandardError(descriptor);
        }
        DuoCommand.main(args);
    }

    private static void restoreStandardError(int descriptor) {
        Linker linker = Linker.nativeLinker();
        var signature = FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
        try {
            int unused = (int) linker.downcallHandle(linker.defaultLookup().findOrThrow("dup2"), signature)
                    .invokeExact(descriptor, STANDARD_ERROR);
        } catch (Throwable e) {
            throw new IllegalStateException("cannot restore standard error from descriptor " + descriptor, e);
        }
    }
}
