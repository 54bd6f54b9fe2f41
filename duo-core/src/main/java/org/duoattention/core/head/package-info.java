/** Head patterns on disk, the selection of retrieval heads, and the built-in mask sources. */
@NullMarked
package org.duoattention.core.head;

import org.jspecify.annotations.NullMarked;
