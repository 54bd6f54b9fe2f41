package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.duoattention.core.quantize.OwnText;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.tokenizer.HuggingFaceTokenizer;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.text.Utf8File;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The text that weights are calibrated on, if there is one. */
final class CalibrationOptions {
    private static final String SELF = "self";
    private static final int DEFAULT_TOKENS = 8192;
    private static final int LEAST_TOKENS = 64;

    @Option(
            names = "--calibrate",
            paramLabel = "FILE|self",
            description =
                    "UTF-8 text like what the model will read: weights are scaled and rounded so that the outputs on it"
                            + " change least. With 'self' the model writes the text; './self' is a file.")
    private @Nullable String text;

    @Option(
            names = "--calibrate-tokens",
            paramLabel = "N",
            description = "Tokens of that text to read, from its beginning, or to write (default: 8192).")
    private @Nullable Integer tokens;

    /** A text whose tokens are known once it is written or read. */
    interface Source {
        int[] ids(Duo duo, Console console, boolean quiet);
    }

    /**
     * Reads the text, if it is in a file.
     *
     * @param model checkpoint that it is for
     * @throws DuoException when a value does not fit, or the file cannot be used
     */
    Optional<Source> source(Path model) {
        if (text == null) {
            if (tokens != null) {
                throw new DuoException("--calibrate-tokens needs --calibrate");
            }
            return Optional.empty();
        }
        int count = tokens == null ? DEFAULT_TOKENS : tokens;
        Ranges.atLeast("--calibrate-tokens", count, LEAST_TOKENS);
        if (text.equals(SELF)) {
            return Optional.of((duo, console, quiet) -> written(duo, model, count, console, quiet));
        }
        int[] ids = read(model, Path.of(text), count);
        return Optional.of((duo, console, quiet) -> ids);
    }

    private static int[] read(Path model, Path file, int most) {
        String content = Utf8File.read("--calibrate", file);
        if (!HuggingFaceTokenizer.isPresent(model)) {
            throw new DuoException("--model " + model
                    + " has no tokenizer.json, which --calibrate FILE needs; add the file, or use --calibrate self");
        }
        try (Tokenizer tokenizer = HuggingFaceTokenizer.load(model)) {
            int[] all = tokenizer.encode(content, true);
            if (all.length < LEAST_TOKENS) {
                throw new DuoException("--calibrate " + file + " has " + all.length
                        + " tokens; give a text of at least " + LEAST_TOKENS);
            }
            return Arrays.copyOf(all, Math.min(all.length, most));
        }
    }

    private static int[] written(Duo duo, Path path, int count, Console console, boolean quiet) {
        try (Progress progress = new Progress(console, quiet, "write", count, " tokens");
                Model model = duo.model(path).open()) {
            progress.line("calibrate: the model writes " + count + " tokens");
            return OwnText.sample(model, count, progress::add);
        }
    }
}
