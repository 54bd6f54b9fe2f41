/** Quantisation of weights: codes, scales and zero points of the groups of a matrix. */
@NullMarked
package org.duoattention.quant.weight;

import org.jspecify.annotations.NullMarked;
