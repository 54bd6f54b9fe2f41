package org.duoattention.core.sample;

import org.duoattention.core.DuoException;

/**
 * How the next token is chosen. Filters apply in the order of Hugging Face transformers: repetition penalty, temperature,
 * top-k, top-p, min-p.
 *
 * @param temperature divides the logits; 0 is greedy: the highest logit, the lowest id among equals
 * @param topK keeps the k highest logits; 0 keeps all
 * @param topP keeps the smallest set of tokens whose probabilities reach p (nucleus sampling, arXiv 1904.09751); 1 keeps
 *     all
 * @param minP keeps tokens of at least p times the highest probability (arXiv 2407.01082); 0 keeps all
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens seen before (CTRL, arXiv
 *     1909.05858); 1 changes nothing
 * @param seed equal seeds give equal tokens
 */
public record Sampling(double temperature, int topK, double topP, double minP, double repetitionPenalty, long seed) {
    private static final Sampling GREEDY = new Sampling(0, 0, 1, 0, 1, 0);

    /** Checks the ranges. */
    public Sampling {
        check(
                temperature >= 0 && temperature < Double.POSITIVE_INFINITY,
                "temperature",
                temperature,
                "a finite number of at least 0");
        check(topK >= 0, "top-k", topK, "at least 0 (0 keeps all)");
        check(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1");
        check(minP >= 0 && minP <= 1, "min-p", minP, "between 0 and 1");
        check(
                repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY,
                "repetition-penalty",
                repetitionPenalty,
                "a finite number above 0");
        check(
                temperature > 0 || (topK == 0 && topP == 1 && minP == 0),
                "temperature",
                temperature,
                "above 0 when top-k, top-p or min-p is given");
    }

    private static void check(boolean fine, String name, Number value, String expected) {
        if (!fine) {
            throw new DuoException("Sampling option " + name + " is " + value + "; it must be " + expected);
        }
    }

    /** The highest logit, always. */
    public static Sampling greedy() {
        return GREEDY;
    }

    /** Samples at a temperature. */
    public static Sampling temperature(double temperature, long seed) {
        return new Sampling(temperature, 0, 1, 0, 1, seed);
    }

    /** The same with another top-k. */
    public Sampling withTopK(int k) {
        return new Sampling(temperature, k, topP, minP, repetitionPenalty, seed);
    }

    /** The same with another top-p. */
    public Sampling withTopP(double p) {
        return new Sampling(temperature, topK, p, minP, repetitionPenalty, seed);
    }

    /** The same with another min-p. */
    public Sampling withMinP(double p) {
        return new Sampling(temperature, topK, topP, p, repetitionPenalty, seed);
    }

    /** The same with another repetition penalty. */
    public Sampling withRepetitionPenalty(double penalty) {
        return new Sampling(temperature, topK, topP, minP, penalty, seed);
    }
}
