/** Chunk plans and the scheduler that shares one compute stream between sessions. */
@NullMarked
package org.duoattention.core.prefill;

import org.jspecify.annotations.NullMarked;
