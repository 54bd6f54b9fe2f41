package org.duoattention.examples.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Terminal;
import org.jline.terminal.Terminal.Signal;
import org.jline.terminal.TerminalBuilder;
import org.jspecify.annotations.Nullable;

/** Lines that the user types, with editing and history on a terminal, or that are piped in. */
interface LineSource extends AutoCloseable {
    /**
     * The next line.
     *
     * @return null at the end of the input
     * @throws Interruption when the user pressed Ctrl-C
     */
    @Nullable
    String next(String prompt);

    /** Runs something when the user presses Ctrl-C while no line is read. */
    void onInterrupt(Runnable action);

    @Override
    void close();

    /** The terminal if both ends of the conversation are on it, otherwise the console's input. */
    static LineSource of(Console console) {
        if (Terminals.isTerminal(Terminals.STANDARD_INPUT) && Terminals.isTerminal(Terminals.STANDARD_OUTPUT)) {
            try {
                return new Interactive(TerminalBuilder.builder().system(true).build());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return new Piped(new BufferedReader(new InputStreamReader(console.in(), StandardCharsets.UTF_8)));
    }

    /**
     * By JLine.
     *
     * @param terminal closed with this
     */
    final class Interactive implements LineSource {
        private final Terminal terminal;
        private final LineReader reader;

        Interactive(Terminal terminal) {
            this.terminal = terminal;
            this.reader = LineReaderBuilder.builder()
                    .terminal(terminal)
                    .appName("duo")
                    .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true)
                    .build();
        }

        @Override
        public @Nullable String next(String prompt) {
            try {
                return reader.readLine(prompt);
            } catch (EndOfFileException e) {
                return null;
            } catch (UserInterruptException e) {
                throw new Interruption("interrupted at the prompt");
            }
        }

        @Override
        public void onInterrupt(Runnable action) {
            terminal.handle(Signal.INT, signal -> action.run());
        }

        @Override
        public void close() {
            try {
                terminal.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /**
     * By plain reading; Ctrl-C ends the process.
     *
     * @param reader left open: it is the process's input
     */
    record Piped(BufferedReader reader) implements LineSource {
        @Override
        public @Nullable String next(String prompt) {
            try {
                return reader.readLine();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        @Override
        public void onInterrupt(Runnable action) {}

        @Override
        public void close() {}
    }
}
