/** Numbers as they are stored, in plain Java. */
@NullMarked
package org.duoattention.quant;

import org.jspecify.annotations.NullMarked;
