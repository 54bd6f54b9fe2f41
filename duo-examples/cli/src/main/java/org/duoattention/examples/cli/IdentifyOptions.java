package org.duoattention.examples.cli;

import java.util.List;
import java.util.Locale;
import org.duoattention.core.DuoException;
import org.duoattention.identify.data.LabelRule;
import org.duoattention.identify.data.MultiPasskeySettings;
import org.duoattention.identify.distill.BlendRule;
import org.duoattention.identify.distill.StepSettings;
import org.duoattention.identify.train.LearningRateSchedule;
import org.duoattention.identify.train.TrainingSettings;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What gates are optimised on and how. What is not given follows from the model's context. */
final class IdentifyOptions {
    /** Sequences from this length on get the authors' window and number of steps. */
    private static final int LONG_SEQUENCE = 4096;

    // What small models take: few steps tell their heads apart, and with the authors' factor too many gates stay open.
    private static final int SHORT_STEPS = 200;
    private static final double SHORT_RATE = 0.04;
    private static final double SHORT_REGULARISATION = 1;
    private static final int SHORT_SINKS = 16;
    private static final int SHORT_RECENT = 64;

    @Option(
            names = "--steps",
            paramLabel = "N",
            description = "Steps of the optimisation (default: 2000, or 200 when sequences are shorter than 4096).")
    private @Nullable Integer steps;

    @Option(
            names = "--lr",
            paramLabel = "RATE",
            description = "Highest learning rate (default: 0.02, or 0.04 when sequences are shorter than 4096).")
    private @Nullable Double learningRate;

    @Option(
            names = "--reg",
            paramLabel = "FACTOR",
            description =
                    "Factor on the mean of the gates in the loss (default: 0.05, or 1 when sequences are shorter than"
                            + " 4096).")
    private @Nullable Double regularisation;

    @Option(
            names = "--sink",
            paramLabel = "N",
            description =
                    "First tokens that streaming heads see (default: 128, or 16 when sequences are shorter than 4096).")
    private @Nullable Integer sink;

    @Option(
            names = "--recent",
            paramLabel = "N",
            description =
                    "Last tokens that streaming heads see (default: 256, or 64 when sequences are shorter than 4096).")
    private @Nullable Integer recent;

    @Option(
            names = "--context",
            paramLabel = "MIN,MAX",
            split = ",",
            description = "Tokens of the shortest and longest sequences (default: by the model's context).")
    private @Nullable List<Integer> context;

    @Option(names = "--needles", paramLabel = "N", description = "Passkeys per sequence (default: 10, or 4).")
    private @Nullable Integer needles;

    @Option(names = "--words", paramLabel = "N", description = "Words per passkey (default: 32, or 6).")
    private @Nullable Integer words;

    @Option(
            names = "--labels",
            paramLabel = "answer|tail",
            defaultValue = "answer",
            description = "States that count: those that answers are predicted from, or all of questions and answers"
                    + " (default: ${DEFAULT-VALUE}).")
    private String labels = "answer";

    @Option(
            names = "--blend",
            paramLabel = "upstream|paper",
            defaultValue = "upstream",
            description = "Whose full attention is blended in: the teacher's, or the student's own"
                    + " (default: ${DEFAULT-VALUE}).")
    private String blend = "upstream";

    @Option(
            names = "--chunk",
            paramLabel = "N",
            defaultValue = "512",
            description = "Rows that go through a layer at once (default: ${DEFAULT-VALUE}).")
    private int chunk = StepSettings.DEFAULT_BLOCK;

    @Option(
            names = "--seed",
            paramLabel = "SEED",
            defaultValue = "0",
            description = "Equal seeds give equal sequences (default: ${DEFAULT-VALUE}).")
    private long seed;

    long seed() {
        return seed;
    }

    /** Refuses values out of range. */
    void check() {
        Ranges.atLeast("--steps", steps, 1);
        Ranges.atLeast("--sink", sink, 0);
        Ranges.atLeast("--recent", recent, 1);
        Ranges.atLeast("--needles", needles, 1);
        Ranges.atLeast("--words", words, 1);
        Ranges.atLeast("--chunk", chunk, 1);
        positive("--lr", learningRate, false);
        positive("--reg", regularisation, true);
        if (context != null && (context.size() != 2 || context.get(0) < 1 || context.get(1) < context.get(0))) {
            throw new DuoException("--context is '"
                    + String.join(",", context.stream().map(String::valueOf).toList())
                    + "'; give the shortest and the longest length, such as 320,1024");
        }
        labelRule();
        blendRule();
    }

    private static void positive(String option, @Nullable Double value, boolean zero) {
        if (value != null && !(value < Double.MAX_VALUE && (zero ? value >= 0 : value > 0))) {
            throw new DuoException(option + " is " + value + "; it must be "
                    + (zero ? "a number of at least 0" : "a positive number"));
        }
    }

    private LabelRule labelRule() {
        return switch (labels.toLowerCase(Locale.ROOT)) {
            case "answer" -> LabelRule.ANSWER;
            case "tail" -> LabelRule.TAIL;
            default -> throw new DuoException("--labels is '" + labels + "', expected answer or tail");
        };
    }

    private BlendRule blendRule() {
        return switch (blend.toLowerCase(Locale.ROOT)) {
            case "upstream" -> BlendRule.UPSTREAM;
            case "paper" -> BlendRule.PAPER;
            default -> throw new DuoException("--blend is '" + blend + "', expected upstream or paper");
        };
    }

    /** The sequences for a model that reads so many tokens. */
    MultiPasskeySettings data(long contextLimit) {
        MultiPasskeySettings byDefault = MultiPasskeySettings.forContext(contextLimit, seed);
        int least = context == null ? byDefault.minTokens() : context.get(0);
        int most = context == null ? byDefault.maxTokens() : context.get(1);
        if (most > contextLimit) {
            throw new DuoException("--context asks for sequences of " + most + " tokens, the model reads "
                    + contextLimit + "; ask for shorter ones");
        }
        return new MultiPasskeySettings(
                needles == null ? byDefault.passkeys() : needles,
                words == null ? byDefault.words() : words,
                least,
                most,
                byDefault.lengths(),
                byDefault.minDepth(),
                byDefault.maxDepth(),
                byDefault.depthSteps(),
                labelRule(),
                byDefault.multiple(),
                seed);
    }

    /** The optimisation for sequences of so many tokens. */
    TrainingSettings training(int maxTokens) {
        boolean isLong = maxTokens >= LONG_SEQUENCE;
        int sinks = sink != null ? sink : isLong ? 128 : SHORT_SINKS;
        int last = recent != null ? recent : isLong ? 256 : SHORT_RECENT;
        if ((long) sinks + last >= maxTokens) {
            throw new DuoException("streaming heads that see " + sinks + " first and " + last
                    + " last tokens see all of sequences of " + maxTokens
                    + " tokens; give a smaller --sink and --recent, or longer sequences with --context");
        }
        int count = steps != null ? steps : isLong ? TrainingSettings.PAPER_STEPS : SHORT_STEPS;
        double rate = learningRate != null ? learningRate : isLong ? TrainingSettings.PAPER_LEARNING_RATE : SHORT_RATE;
        double factor = regularisation != null
                ? regularisation
                : isLong ? TrainingSettings.PAPER_REGULARISATION : SHORT_REGULARISATION;
        return new TrainingSettings(
                new StepSettings(sinks, last, blendRule(), factor, chunk), LearningRateSchedule.of(count), rate);
    }
}
