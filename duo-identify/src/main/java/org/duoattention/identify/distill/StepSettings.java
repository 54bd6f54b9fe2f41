package org.duoattention.identify.distill;

/**
 * What a step measures.
 *
 * @param sinks first tokens that streaming heads see; at least 0
 * @param recent last tokens that streaming heads see, the query's own included; at least 1
 * @param blend whose full attention is blended in
 * @param regularisation factor on the mean magnitude of the gates in the loss; at least 0
 * @param block rows that go through a layer at once, and tokens per chunk of full attention; results do not depend on it but
 *     for rounding; at least 1
 */
public record StepSettings(int sinks, int recent, BlendRule blend, double regularisation, int block) {
    /** Rows at once unless there is a reason. */
    public static final int DEFAULT_BLOCK = 512;

    /** Checks the ranges. */
    public StepSettings {
        if (sinks < 0 || recent < 1 || block < 1 || !(regularisation >= 0 && regularisation < Double.MAX_VALUE)) {
            throw new IllegalArgumentException("sinks " + sinks + " and regularisation " + regularisation
                    + " are at least 0, recent " + recent + " and block " + block + " at least 1");
        }
    }
}
