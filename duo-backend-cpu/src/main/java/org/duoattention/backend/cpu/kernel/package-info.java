/** What a CPU instruction set must compute: raw loops over memory segments, without checks or threads. */
@NullMarked
package org.duoattention.backend.cpu.kernel;

import org.jspecify.annotations.NullMarked;
