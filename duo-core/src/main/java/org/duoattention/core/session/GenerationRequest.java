package org.duoattention.core.session;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.core.DuoException;
import org.duoattention.core.sample.Sampling;

/**
 * What to generate.
 *
 * @param maxNewTokens most tokens to generate; at least 1
 * @param sampling how tokens are chosen
 * @param stopStrings texts that end the generation; need a tokenizer
 * @param stopAtEndTokens whether the model's end tokens end the generation
 */
public record GenerationRequest(
        int maxNewTokens, Sampling sampling, List<String> stopStrings, boolean stopAtEndTokens) {
    /** Checks the length and copies the list. */
    public GenerationRequest {
        stopStrings = List.copyOf(stopStrings);
        if (maxNewTokens < 1) {
            throw new DuoException("max-new-tokens is " + maxNewTokens + "; it must be at least 1");
        }
    }

    /** A builder: 128 new tokens, greedy, no stop strings, ending at the model's end tokens. */
    public static Builder builder() {
        return new Builder();
    }

    /** Greedy generation of up to {@code maxNewTokens}. */
    public static GenerationRequest greedy(int maxNewTokens) {
        return builder().maxNewTokens(maxNewTokens).build();
    }

    /** Collects the parts of a request. */
    public static final class Builder {
        private int maxNewTokens = 128;
        private Sampling sampling = Sampling.greedy();
        private final List<String> stopStrings = new ArrayList<>();
        private boolean stopAtEndTokens = true;

        private Builder() {}

        /** Most tokens to generate. */
        public Builder maxNewTokens(int tokens) {
            this.maxNewTokens = tokens;
            return this;
        }

        /** How tokens are chosen. */
        public Builder sampling(Sampling choice) {
            this.sampling = choice;
            return this;
        }

        /** Adds a text that ends the generation. */
        public Builder stop(String text) {
            stopStrings.add(text);
            return this;
        }

        /** Goes on after the model's end tokens. */
        public Builder ignoreEndTokens() {
            this.stopAtEndTokens = false;
            return this;
        }

        /** The request. */
        public GenerationRequest build() {
            return new GenerationRequest(maxNewTokens, sampling, stopStrings, stopAtEndTokens);
        }
    }
}
