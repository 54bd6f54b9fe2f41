/** Identification of retrieval heads by optimisation: gates, optimiser, schedule, and runs that can be resumed. */
@NullMarked
package org.duoattention.identify.train;

import org.jspecify.annotations.NullMarked;
