package org.duoattention.api.backend;

/**
 * What a backend may or may not be able to do beyond the operations that every backend has. A device lists its
 * capabilities; using one that it does not list throws {@link UnsupportedCapabilityException}.
 */
public enum Capability {
    /** Attention scores per slot: slabs whose retention asks for scores, and scores in {@link ComputeStream#slots}. */
    SCORES("attention scores"),
    /** {@link PrefillMode#WINDOW} in {@link ComputeStream#attend}. */
    WINDOW_PREFILL("the window prefill mode"),
    /** {@link ComputeStream#truncate}. */
    ROLLBACK("rollback"),
    /** {@link ComputeStream#save} and {@link ComputeStream#restore}. */
    SNAPSHOT("saving and restoring slabs"),
    /** Weights of any {@link org.duoattention.api.tensor.BlockFormat.Grouped} format. */
    QUANTIZED_WEIGHTS("quantised weights"),
    /**
     * Slabs whose keys and values are quantised as they are appended, in {@link
     * org.duoattention.api.tensor.BlockFormat.Grouped} formats that are asymmetric with F16 scales. The group divides
     * {@code headDim}.
     */
    QUANTIZED_CACHE("a quantised cache"),
    /** {@link ComputeStream#gradients}, which identification by optimisation needs. */
    GRADIENTS("gradients");

    private final String label;

    Capability(String label) {
        this.label = label;
    }

    /** A noun phrase for messages. */
    public String label() {
        return label;
    }
}
