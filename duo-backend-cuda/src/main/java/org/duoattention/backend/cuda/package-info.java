/** The CUDA backend: its provider, device, tensors and streams. */
@NullMarked
package org.duoattention.backend.cuda;

import org.jspecify.annotations.NullMarked;
