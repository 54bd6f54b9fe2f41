package org.duoattention.backend.cpu.kernel;

/**
 * What flowed out of one linear layer.
 *
 * @param gradient F32 {@code [tokens, outs]}
 * @param weight {@code [outs, in]}
 */
public record LinearGradient(Matrix gradient, Weight weight) {
    /** The rows {@code first .. first + count - 1} of the gradient. */
    public LinearGradient slice(long first, long count) {
        return new LinearGradient(gradient.slice(first, count), weight);
    }

    /** Outputs of all layers together. */
    public static long outs(Iterable<LinearGradient> layers) {
        long outs = 0;
        for (LinearGradient layer : layers) {
            outs += layer.gradient.columns();
        }
        return outs;
    }
}
