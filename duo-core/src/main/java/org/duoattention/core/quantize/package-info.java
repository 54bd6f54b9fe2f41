/** Turning a checkpoint into a quantised one, tensor by tensor. */
@NullMarked
package org.duoattention.core.quantize;

import org.jspecify.annotations.NullMarked;
