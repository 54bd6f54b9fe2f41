/** The hybrid key/value cache and the built-in cache policies. */
@NullMarked
package org.duoattention.core.cache;

import org.jspecify.annotations.NullMarked;
