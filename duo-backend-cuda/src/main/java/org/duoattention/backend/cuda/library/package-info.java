/** Finding and binding the CUDA libraries of the machine. */
@NullMarked
package org.duoattention.backend.cuda.library;

import org.jspecify.annotations.NullMarked;
