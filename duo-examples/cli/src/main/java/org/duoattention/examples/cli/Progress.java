package org.duoattention.examples.cli;

import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/** A progress bar on a terminal, plain lines elsewhere, nothing when the user wants quiet. */
final class Progress implements AutoCloseable {
    private static final int WIDTH = 100;
    private static final int UPDATE_MILLIS = 200;

    private final Console console;
    private final boolean quiet;
    private final @Nullable ProgressBar bar;

    /** Starts one. The total is in tokens. */
    Progress(Console console, boolean quiet, String task, long total) {
        this(console, quiet, task, total, " tokens");
    }

    /** Starts one whose total is in another unit, written with a space before it. */
    Progress(Console console, boolean quiet, String task, long total, String unit) {
        this.console = console;
        this.quiet = quiet;
        this.bar = quiet || !console.errIsTerminal()
                ? null
                : new ProgressBarBuilder()
                        .setTaskName(task)
                        .setInitialMax(total)
                        .setUnit(unit, 1)
                        .setUpdateIntervalMillis(UPDATE_MILLIS)
                        .setStyle(ProgressBarStyle.ASCII)
                        .setConsumer(new ConsoleProgressBarConsumer(console.err(), WIDTH))
                        .clearDisplayOnFinish()
                        .build();
    }

    /** More tokens are done. */
    void add(long tokens) {
        if (bar != null) {
            bar.stepBy(tokens);
        }
    }

    /** Shows a word on how things stand behind the bar. */
    void message(String text) {
        if (bar != null) {
            bar.setExtraMessage(" " + text);
        }
    }

    /** A step is complete: a line where there is no bar. */
    void line(String text) {
        if (bar == null && !quiet) {
            console.err().println(text);
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
