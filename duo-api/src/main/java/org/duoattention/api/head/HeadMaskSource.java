package org.duoattention.api.head;

/**
 * A service that produces a {@link HeadMask}: from a pattern directory, from a model's own metadata, or by a fixed rule.
 *
 * <p>Found by {@link java.util.ServiceLoader}. Implementations have a public constructor without parameters, keep no
 * state and may be called from any thread.
 */
public interface HeadMaskSource {
    /** The unique name by which users choose this source: lower-case letters, digits and dashes. */
    String name();

    /**
     * The mask for a model. Equal requests give equal masks.
     *
     * @return a mask that {@linkplain HeadMask#fits fits} {@code request.shape()}; never null
     * @throws IllegalArgumentException with one sentence for the user when an option is unknown, missing or malformed,
     *     or when what was found does not fit the model (the message then holds both shapes)
     */
    HeadMask headMask(HeadMaskRequest request);
}
