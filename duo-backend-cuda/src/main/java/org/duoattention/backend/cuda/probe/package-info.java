/** Finding out whether there is a GPU that can be used, without touching it. */
@NullMarked
package org.duoattention.backend.cuda.probe;

import org.jspecify.annotations.NullMarked;
