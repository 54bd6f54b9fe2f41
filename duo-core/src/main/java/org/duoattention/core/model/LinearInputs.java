package org.duoattention.core.model;

/** Sees what goes into the linear layers of a decoder. */
@FunctionalInterface
public interface LinearInputs {
    /**
     * Called once for every input, before the layers that share it run.
     *
     * @param layer name of the first of them, for example {@code model.layers.0.self_attn.q_proj}
     * @param values {@code [tokens, width]}, row after row; valid during the call
     * @param tokens rows
     */
    void see(String layer, float[] values, int tokens);
}
