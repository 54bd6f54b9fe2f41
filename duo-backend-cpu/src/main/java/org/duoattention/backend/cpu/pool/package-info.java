/** A fixed pool of threads for the parts of one operation. */
@NullMarked
package org.duoattention.backend.cpu.pool;

import org.jspecify.annotations.NullMarked;
