package org.duoattention.examples.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.SavedSession;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * Options that keep a prompt's cache in a file: a long text is read once and asked about often, and a prefill that was
 * interrupted goes on where it stopped.
 */
final class PromptCache {
    @Option(
            names = "--prompt-cache",
            paramLabel = "FILE",
            description =
                    "Begin with the cache in FILE if the prompt begins with the same tokens, and feed only the rest."
                            + " Where there is no FILE it is written after the prompt; an interrupted prefill is written too and"
                            + " goes on next time.")
    private @Nullable Path file;

    @Option(
            names = "--save-every",
            paramLabel = "N",
            description = "With --prompt-cache: write the file after every N tokens of the prefill too.")
    private @Nullable Integer saveEvery;

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Longest context in tokens, at least prompt and answer (the default); with --prompt-cache a"
                    + " longer one leaves room for longer prompts later.")
    private @Nullable Long context;

    private @Nullable SavedSession saved;

    /** Refuses options that contradict each other, and reads the file's beginning when there is one. */
    void check() {
        if (saveEvery != null && file == null) {
            throw new DuoException(
                    "--save-every says when to write the file of --prompt-cache; add --prompt-cache FILE");
        }
        if (file == null) {
            return;
        }
        Ranges.atLeast("--save-every", saveEvery, 1);
        if (Files.exists(file)) {
            if (!Files.isRegularFile(file)) {
                throw new DuoException("--prompt-cache " + file + " is a directory or a device; give a file");
            }
            saved = SavedSession.read(file);
        }
        if (saved == null || !saved.complete()) {
            Outputs.checkFile(file, "--prompt-cache");
        }
    }

    boolean isGiven() {
        return file != null;
    }

    /** The context to open the session with: that of the file where there is one. */
    long context(long needed) {
        if (context != null && context < needed) {
            throw new DuoException("--context is " + context + "; prompt and answer take " + needed
                    + " tokens; give as many or more, or leave it out");
        }
        long wanted = context == null ? needed : context;
        if (saved == null) {
            return wanted;
        }
        if (wanted > saved.maxContext()) {
            throw new DuoException("--prompt-cache " + file + " was made for a context of " + saved.maxContext()
                    + " tokens, this run needs " + wanted + "; delete it and make it anew with --context " + wanted
                    + " or more");
        }
        return saved.maxContext();
    }

    /**
     * Puts the session where the file's stood, as far as the prompt begins like it.
     *
     * @return how many of the prompt's tokens need not be fed any more
     */
    int restore(Session session, int[] ids) {
        if (saved == null) {
            return 0;
        }
        int common = saved.commonPrefix(ids);
        boolean ready = common == saved.length() && (common < ids.length || saved.hasLogits());
        // The last token is fed again where its logits are not there.
        int target = ready ? common : Math.min(common, ids.length - 1);
        // A text that goes on may be cut into other tokens at its end; more is a different text, and the file not the
        // one meant.
        boolean other = common < ids.length
                && common < Math.max(saved.length() - SessionBuilder.DEFAULT_ROLLBACK_MARGIN, saved.length() / 2);
        if (other || target == 0) {
            throw new DuoException("--prompt-cache " + file + " holds another prompt: its " + saved.length()
                    + " tokens differ from this one's from token " + common + " on; give another file, or delete it");
        }
        session.restore(saved);
        try {
            session.rollback(saved.length() - (long) target);
        } catch (DuoException e) {
            throw new DuoException(
                    "--prompt-cache " + file + " holds another prompt from token " + common + " of " + saved.length()
                            + " on: " + e.getMessage(),
                    e);
        }
        return target;
    }

    /**
     * Feeds what {@link #restore} left, into the file as well where this run is to write it.
     *
     * @return seconds that the feeding took
     */
    double prefill(Session session, int[] ids, Consumer<Integer> fed, BiConsumer<Path, Long> kept) {
        Path target = file;
        if (target == null || (saved != null && saved.complete())) {
            long start = System.nanoTime();
            session.prefill(ids, done -> fed.accept((int) done.done()));
            return (System.nanoTime() - start) / 1e9;
        } else {
            int every = saveEvery == null ? 0 : saveEvery;
            return new KeptPrefill(target, every, length -> kept.accept(target, length)).run(session, ids, fed);
        }
    }
}
