/** The CPU backend's provider, device and stream. */
@NullMarked
package org.duoattention.backend.cpu;

import org.jspecify.annotations.NullMarked;
