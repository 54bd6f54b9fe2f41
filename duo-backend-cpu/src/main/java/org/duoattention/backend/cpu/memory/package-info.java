/** Host memory of the CPU backend: tensors, slabs, and the account of their bytes. */
@NullMarked
package org.duoattention.backend.cpu.memory;

import org.jspecify.annotations.NullMarked;
