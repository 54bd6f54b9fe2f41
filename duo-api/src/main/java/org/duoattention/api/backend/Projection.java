package org.duoattention.api.backend;

import java.util.Optional;

/**
 * One linear layer among several that read the same input.
 *
 * @param weight {@code [out, in]}: F32, F16, BF16 or quantised
 * @param bias {@code [out]}, if there is one
 * @param out F32 {@code [tokens, out]}
 */
public record Projection(Tensor weight, Optional<Tensor> bias, Tensor out) {}
