/** Finds providers of the service interfaces and chooses among them. */
@NullMarked
package org.duoattention.core.spi;

import org.jspecify.annotations.NullMarked;
