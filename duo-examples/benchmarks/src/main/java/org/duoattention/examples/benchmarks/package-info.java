/** Kernels measured through the service interface, as a forward pass uses them. */
@NullMarked
package org.duoattention.examples.benchmarks;

import org.jspecify.annotations.NullMarked;
