/** The arithmetic of the CPU backend with the Vector API: products, attention and element-wise operations. */
@NullMarked
package org.duoattention.backend.cpu.vector;

import org.jspecify.annotations.NullMarked;
