/** Writing checkpoints. */
@NullMarked
package org.duoattention.quant.checkpoint;

import org.jspecify.annotations.NullMarked;
