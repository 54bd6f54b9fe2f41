/** The device and the stream of the CPU backend: checks, and the split of operations into parts. */
@NullMarked
package org.duoattention.backend.cpu.device;

import org.jspecify.annotations.NullMarked;
