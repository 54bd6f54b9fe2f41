package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.List;
import org.duoattention.identify.text.HaystackText;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The texts in which passkeys are hidden: the same options wherever passkeys are asked for. */
final class PasskeyOptions {
    @Option(
            names = "--needles",
            paramLabel = "N",
            defaultValue = "4",
            description = "Passkeys per text (default: ${DEFAULT-VALUE}).")
    private int needles;

    @Option(
            names = "--words",
            paramLabel = "N",
            defaultValue = "6",
            description = "Words per passkey (default: ${DEFAULT-VALUE}).")
    private int words;

    @Option(
            names = "--seed",
            paramLabel = "SEED",
            defaultValue = "0",
            description = "Equal seeds give equal texts and results (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(
            names = "--haystack",
            paramLabel = "FILE",
            description = "UTF-8 text to hide passkeys in, begun again when it is too short (default: generated text).")
    private @Nullable Path haystack;

    int needles() {
        return needles;
    }

    int words() {
        return words;
    }

    long seed() {
        return seed;
    }

    /** The file's text, or one of this seed. */
    HaystackText haystack() {
        return HaystackText.of(haystack, seed);
    }

    /** As {@link NeedleGrid#of}. */
    NeedleGrid grid(List<Integer> contexts, int depths, int samples) {
        return NeedleGrid.of(contexts, depths, samples, needles, words, seed);
    }
}
