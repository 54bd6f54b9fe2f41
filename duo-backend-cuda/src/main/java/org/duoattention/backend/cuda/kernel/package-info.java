/** Where the machine code of the kernels comes from. */
@NullMarked
package org.duoattention.backend.cuda.kernel;

import org.jspecify.annotations.NullMarked;
