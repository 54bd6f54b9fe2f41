/** Matrix products by NVIDIA's library, where it is installed. */
@NullMarked
package org.duoattention.backend.cuda.blas;

import org.jspecify.annotations.NullMarked;
