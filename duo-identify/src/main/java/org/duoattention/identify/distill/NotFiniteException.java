package org.duoattention.identify.distill;

/** Thrown by a step whose loss or gradient is no finite number. */
public final class NotFiniteException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int layer;

    /**
     * A step that failed.
     *
     * @param what what is not finite, as the subject of a sentence
     * @param layer the first layer, in the order of computation, from which such a number came
     */
    NotFiniteException(String what, int layer) {
        super(what + " is not a finite number; the first such number came out of layer " + layer);
        this.layer = layer;
    }

    /** The first layer, in the order of computation, that gave a number which is not finite. */
    public int layer() {
        return layer;
    }
}
