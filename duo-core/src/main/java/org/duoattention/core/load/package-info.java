/** Checkpoints on disk: safetensors files, single or sharded, mapped into memory as named tensors. */
@NullMarked
package org.duoattention.core.load;

import org.jspecify.annotations.NullMarked;
