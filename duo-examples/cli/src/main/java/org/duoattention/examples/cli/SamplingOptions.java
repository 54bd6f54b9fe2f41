package org.duoattention.examples.cli;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.core.DuoException;
import org.duoattention.core.sample.Sampling;
import org.duoattention.core.session.GenerationRequest;
import picocli.CommandLine.Option;

/** How tokens are chosen and when to stop. */
final class SamplingOptions {
    @Option(
            names = "--max-new-tokens",
            paramLabel = "N",
            defaultValue = "128",
            description = "Default: ${DEFAULT-VALUE}.")
    private int maxNewTokens;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            defaultValue = "0",
            description = "0 is greedy (default: ${DEFAULT-VALUE}).")
    private double temperature;

    @Option(
            names = "--top-k",
            paramLabel = "K",
            defaultValue = "0",
            description = "Keep the K likeliest tokens; 0: all.")
    private int topK;

    @Option(names = "--top-p", paramLabel = "P", defaultValue = "1", description = "Nucleus sampling; 1: all.")
    private double topP;

    @Option(
            names = "--min-p",
            paramLabel = "P",
            defaultValue = "0",
            description = "Drop tokens below P times the likeliest; 0: none.")
    private double minP;

    @Option(
            names = "--repetition-penalty",
            paramLabel = "R",
            defaultValue = "1",
            description = "Above 1 makes tokens seen before less likely.")
    private double repetitionPenalty;

    @Option(
            names = "--seed",
            paramLabel = "SEED",
            defaultValue = "0",
            description = "Equal seeds give equal text (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--stop", paramLabel = "TEXT", description = "Stop before this text; may be repeated.")
    private final List<String> stops = new ArrayList<>();

    @Option(names = "--ignore-eos", description = "Go on after the model's end tokens.")
    private boolean ignoreEos;

    int maxNewTokens() {
        return maxNewTokens;
    }

    /** The request, its ranges checked. */
    GenerationRequest request() {
        GenerationRequest.Builder builder = GenerationRequest.builder()
                .maxNewTokens(maxNewTokens)
                .sampling(new Sampling(temperature, topK, topP, minP, repetitionPenalty, seed));
        for (String stop : stops) {
            if (stop.isEmpty()) {
                throw new DuoException("--stop is empty; give the text to stop at");
            }
            builder.stop(stop);
        }
        if (ignoreEos) {
            builder.ignoreEndTokens();
        }
        return builder.build();
    }
}
