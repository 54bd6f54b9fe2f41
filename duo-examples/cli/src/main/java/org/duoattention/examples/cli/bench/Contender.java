package org.duoattention.examples.cli.bench;

/** Something that decodes and prefills a shape, to be measured in turn with others. For use by one thread. */
public interface Contender extends AutoCloseable {
    /**
     * What a contender runs.
     *
     * @param engine {@code duo}, or the name of a peer
     * @param weights storage of the weights
     * @param kv storage of keys and values
     * @param policy cache policy
     * @param retrieval share of the KV heads that keep every token
     * @param setting what else was set, empty when nothing was
     */
    record Identity(String engine, String weights, String kv, String policy, double retrieval, String setting) {
        /** For progress and tables. */
        @Override
        public String toString() {
            return engine + " " + weights + " kv " + kv + " " + policy + (setting.isEmpty() ? "" : " " + setting);
        }
    }

    /** Who it is. */
    Identity identity();

    /** Whether it takes part at a depth; peers may be left out where they would take hours. */
    default boolean reaches(int depth) {
        return true;
    }

    /** Whether its settings are tried for the fastest of them only, so that slow ones need not be repeated. */
    default boolean onlyBestSettingCounts() {
        return false;
    }

    /** Runs everything once that is to be measured, on a small scale. */
    default void warmUp() {}

    /** Prefills and returns the seconds it took; what is in the cache before, if anything, is not timed. */
    double prefill(Span span);

    /** Brings the cache to a depth, which is not less than the one before. Not timed. */
    void moveTo(int depth);

    /** Decodes a number of tokens and goes back to where it was; returns the median seconds of a token. */
    double decode(int tokens);

    /** What a prefill must do. */
    Work prefillWork(Span span);

    /** What a decode step at a depth must do. */
    Work decodeWork(int depth);

    /** Bytes of all weights. */
    long weightBytes();

    /** Bytes of a cache for a context. */
    long kvBytes(int context);

    @Override
    void close();
}
