/** The kernels as plain loops: the reference for every other implementation. */
@NullMarked
package org.duoattention.backend.cpu.scalar;

import org.jspecify.annotations.NullMarked;
