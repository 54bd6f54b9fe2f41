/** NVIDIA's driver API by FFM: the calls that the backend makes, device memory, and pinned host memory. */
@NullMarked
package org.duoattention.backend.cuda.driver;

import org.jspecify.annotations.NullMarked;
