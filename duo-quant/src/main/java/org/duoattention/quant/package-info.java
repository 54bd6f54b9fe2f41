/** Quantised formats in plain Java: the arithmetic that every kernel must agree with. */
@NullMarked
package org.duoattention.quant;

import org.jspecify.annotations.NullMarked;
