/** The CUDA backend's provider and its probe. */
@NullMarked
package org.duoattention.backend.cuda;

import org.jspecify.annotations.NullMarked;
